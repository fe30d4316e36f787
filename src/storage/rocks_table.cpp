/* Files for RocksDB to take in: its SstFileWriter and its ingestion, with our options. */
#include <rocksdb/c.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <cstring>
#include <memory>
#include <string>

extern "C" {
#include "storage/file.h"
#include "storage/rocks_table.h"
}

/* As RocksDB's C interface has it; it cannot set all of them. */
struct rocksdb_ingestexternalfileoptions_t {
    rocksdb::IngestExternalFileOptions rep;
};

struct rocksdb_env_t {
    rocksdb::Env *rep;
    bool is_default;
};

namespace
{

/* Whether this thread has RocksDB take in a file. */
thread_local bool taking_in = false;

/*
 * Where the manifest cannot be synced, RocksDB deletes the file that it was to take in. But the
 * record that names it may be there all the same, and a database that lacks a file does not open.
 * So it stays; if nothing names it, it goes when the database is opened.
 */
class Keeper : public rocksdb::FileSystemWrapper
{
  public:
    using FileSystemWrapper::FileSystemWrapper;
    const char *Name() const override
    {
        return "Keeper";
    }
    rocksdb::IOStatus DeleteFile(const std::string &path, const rocksdb::IOOptions &options,
                                 rocksdb::IODebugContext *debug) override
    {
        const std::string kind = ".sst";
        if (taking_in && path.size() > kind.size() &&
            path.compare(path.size() - kind.size(), kind.size(), kind) == 0) {
            return rocksdb::IOStatus::OK();
        }
        return FileSystemWrapper::DeleteFile(path, options, debug);
    }
};

/* Matches the families of the state (make_options in state.c). */
rocksdb::Options make_options()
{
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
    table.format_version = 5;
    rocksdb::Options options;
    options.compression = rocksdb::kLZ4Compression;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    /* Write-back in small steps, so that no sync has to wait for the whole file. */
    options.bytes_per_sync = 1024 * 1024;
    return options;
}

} // namespace

struct rocks_table {
    rocksdb::SstFileWriter writer;
    std::string path;

    rocks_table(const rocksdb::Options &options, const char *file)
        : writer(rocksdb::EnvOptions(options), options, nullptr, /*invalidate_page_cache=*/false),
          path(file)
    {
    }
};

void rocks_table_allow(rocksdb_options_t *options)
{
    /* Threads of RocksDB use it until the process ends. */
    static rocksdb::Env *env =
        rocksdb::NewCompositeEnv(std::make_shared<Keeper>(rocksdb::FileSystem::Default()))
            .release();
    rocksdb_env_t wrapped = {env, false};
    rocksdb_options_set_env(options, &wrapped);
}

static rocksdb::Slice slice(rr_bytes bytes)
{
    return rocksdb::Slice(static_cast<const char *>(bytes.data), bytes.size);
}

static rr_status check(const rocksdb::Status &status, const char *path, struct storage_error *error)
{
    char *message = status.ok() ? nullptr : strdup(status.ToString().c_str());
    return rocks_check(message, "write", path, error);
}

rr_status rocks_table_open(const char *path, struct storage_error *error, struct rocks_table **out)
{
    rr_status status = file_fault_check("create a table of the state", error);
    if (status != RR_OK) {
        return status;
    }
    auto *table = new rocks_table(make_options(), path);
    status = check(table->writer.Open(path), path, error);
    if (status != RR_OK) {
        delete table;
        return status;
    }
    *out = table;
    return RR_OK;
}

rr_status rocks_table_put(struct rocks_table *table, rr_bytes key, rr_bytes value,
                          struct storage_error *error)
{
    return check(table->writer.Put(slice(key), slice(value)), table->path.c_str(), error);
}

rr_status rocks_table_delete(struct rocks_table *table, rr_bytes key, struct storage_error *error)
{
    return check(table->writer.Delete(slice(key)), table->path.c_str(), error);
}

rr_status rocks_table_finish(struct rocks_table *table, uint64_t *size, struct storage_error *error)
{
    rr_status status = file_fault_check("write a table of the state", error);
    if (status != RR_OK) {
        return status;
    }
    rocksdb::ExternalSstFileInfo info;
    status = check(table->writer.Finish(&info), table->path.c_str(), error);
    if (status == RR_OK) {
        *size = info.file_size;
    }
    return status;
}

void rocks_table_close(struct rocks_table *table)
{
    delete table;
}

rr_status rocks_table_ingest(struct rocks *rocks, rocksdb_column_family_handle_t *family,
                             const char *path, struct storage_error *error)
{
    rr_status status = file_fault_check("add a table to the state", error);
    if (status != RR_OK) {
        return status;
    }
    rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
    if (!options->rep.move_files) {
        rocksdb_ingestexternalfileoptions_destroy(options);
        return storage_fail(error, RR_MISMATCH,
                            "this librocksdb is another one than that for which the program was "
                            "built; install the one it needs");
    }
    /* Its place among the others goes into RocksDB's manifest alone. Otherwise the file would be
     * written to and synced under the lock that readers and iterators need. */
    options->rep.write_global_seqno = false;
    char *message = nullptr;
    taking_in = true;
    rocksdb_ingest_external_file_cf(rocks->db, family, &path, 1, options, &message);
    taking_in = false;
    rocksdb_ingestexternalfileoptions_destroy(options);
    return rocks_check(message, "add a table to", path, error);
}
