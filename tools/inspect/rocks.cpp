/* RocksDB through its public interface in C++: the one in C neither verifies whole files nor lets
 * one open a database without a log of RocksDB's own beside it. */
#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

extern "C" {
#include "inspect/rocks.h"
}

struct rocks {
    std::unique_ptr<rocksdb::DB> database;
    std::vector<rocksdb::ColumnFamilyHandle *> families;
};

namespace
{

class Silence : public rocksdb::Logger
{
  public:
    using Logger::Logv;
    void Logv(const char *, va_list) override
    {
    }
    void LogHeader(const char *, va_list) override
    {
    }
};

char *text_of(const rocksdb::Status &status)
{
    return status.ok() ? nullptr : strdup(status.ToString().c_str());
}

struct slice slice_of(const rocksdb::Slice &bytes)
{
    return {reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()};
}

} // namespace

struct rocks *rocks_open(const char *path, const char *const *families, unsigned count,
                         char **error)
{
    rocksdb::Options options;
    options.info_log = std::make_shared<Silence>();
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    options.max_open_files = 256;
    options.skip_stats_update_on_db_open = true;
    std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
    for (unsigned i = 0; i < count; i++) {
        descriptors.emplace_back(families[i], options);
    }
    descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, options);
    auto opened = std::make_unique<struct rocks>();
    rocksdb::DB *database = nullptr;
    rocksdb::Status status =
        rocksdb::DB::OpenForReadOnly(options, path, descriptors, &opened->families, &database);
    *error = text_of(status);
    if (!status.ok()) {
        return nullptr;
    }
    opened->database.reset(database);
    return opened.release();
}

void rocks_close(struct rocks *rocks)
{
    if (rocks == nullptr) {
        return;
    }
    for (rocksdb::ColumnFamilyHandle *family : rocks->families) {
        rocks->database->DestroyColumnFamilyHandle(family);
    }
    delete rocks;
}

char *rocks_each(struct rocks *rocks, unsigned family, struct slice from, rocks_visit visit,
                 void *arg)
{
    rocksdb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    options.total_order_seek = true;
    std::unique_ptr<rocksdb::Iterator> iterator(
        rocks->database->NewIterator(options, rocks->families[family]));
    const char *data = reinterpret_cast<const char *>(from.data);
    iterator->Seek(from.size == 0 ? rocksdb::Slice() : rocksdb::Slice(data, from.size));
    while (iterator->Valid()) {
        if (!visit(arg, slice_of(iterator->key()), slice_of(iterator->value()))) {
            break;
        }
        iterator->Next();
    }
    return text_of(iterator->status());
}

void rocks_files(struct rocks *rocks, uint64_t *count, uint64_t *bytes)
{
    std::vector<rocksdb::LiveFileMetaData> files;
    rocks->database->GetLiveFilesMetaData(&files);
    *count = files.size();
    *bytes = 0;
    for (const rocksdb::LiveFileMetaData &file : files) {
        *bytes += file.size;
    }
}

uint64_t rocks_keys(struct rocks *rocks, unsigned family)
{
    uint64_t keys = 0;
    rocks->database->GetIntProperty(rocks->families[family],
                                    rocksdb::DB::Properties::kEstimateNumKeys, &keys);
    return keys;
}

char *rocks_verify(struct rocks *rocks)
{
    return text_of(rocks->database->VerifyChecksum());
}
