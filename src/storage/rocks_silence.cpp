/*
 * Keeps RocksDB from writing a log of its own. Its writer for that log aborts the process when the
 * disk is full (the assertions of Debian's librocksdb are on), so that a full disk, which is an
 * error to report, would end the program that embeds us. What goes wrong comes as statuses anyway.
 */
#include <rocksdb/c.h>
#include <rocksdb/env.h>

#include <memory>

extern "C" {
#include "storage/rocks_silence.h"
}

/* As RocksDB's C interface has it; it offers no way to make one. */
struct rocksdb_logger_t {
    std::shared_ptr<rocksdb::Logger> rep;
};

namespace
{

class Silence : public rocksdb::Logger
{
  public:
    Silence() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL)
    {
    }
    using Logger::Logv;
    void Logv(const char *, va_list) override
    {
    }
    void LogHeader(const char *, va_list) override
    {
    }
};

} // namespace

void rocks_silence(rocksdb_options_t *options)
{
    rocksdb_logger_t logger = {std::make_shared<Silence>()};
    rocksdb_options_set_info_log(options, &logger);
}
