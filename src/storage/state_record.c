/* The state's own records: the position that the data stands for, and the caller's bytes. */
#include "storage/state_private.h"

#include "base/checksum.h"
#include "base/codec.h"

enum {
    VERSION = 1,
    META_HEADER_BYTES = 1 + 8, /* version, checksum; then the bytes */
};

const rr_bytes state_key_applied = {"\0a", 2};
const rr_bytes state_key_meta = {"\0m", 2};

void state_position_encode(const struct state_position *position, uint8_t out[STATE_POSITION_BYTES])
{
    out[0] = VERSION;
    store_u64(out + 1, position->index);
    store_u64(out + 9, position->term);
    store_u64(out + 17, checksum64(out, 17));
}

void state_meta_encode(rr_bytes meta, struct buffer *out)
{
    buffer_clear(out);
    put_u8(out, VERSION);
    put_u64(out, checksum64(meta.data, meta.size));
    put_raw(out, meta.data, meta.size);
}

static rr_status damaged(const char *what, struct storage_error *error)
{
    return storage_fail(error, RR_CORRUPT, "the state's %s record is damaged (docs/faults.md)",
                        what);
}

static rr_status newer(int version, struct storage_error *error)
{
    return storage_fail(error, RR_MISMATCH,
                        "the state's records have version %d, and this program knows up to %d; "
                        "run a newer one",
                        version, VERSION);
}

/* Reads what was found as the position's record, if `status` says that it was. */
static rr_status decode_position(rr_status status, rr_bytes value, struct state_position *out,
                                 struct storage_error *error)
{
    const uint8_t *data = value.data;
    if (status == RR_NOT_FOUND) {
        *out = (struct state_position){0, 0};
        return RR_OK;
    }
    if (status != RR_OK) {
        return status;
    }
    if (value.size > 0 && data[0] > VERSION) {
        return newer(data[0], error);
    }
    if (value.size != STATE_POSITION_BYTES || data[0] != VERSION ||
        load_u64(data + 17) != checksum64(data, 17)) {
        return damaged("position", error);
    }
    *out = (struct state_position){load_u64(data + 1), load_u64(data + 9)};
    return RR_OK;
}

rr_status state_db_position(const struct state_db *db, const rocksdb_readoptions_t *options,
                            struct state_position *out, struct storage_error *error)
{
    struct buffer value;
    buffer_init(&value);
    rr_status status = state_db_get(db, options, state_key_applied, &value, error);
    status = decode_position(status, buffer_bytes(&value), out, error);
    buffer_deinit(&value);
    return status;
}

rr_status state_moment_position(const struct state_moment *moment, struct state_position *out,
                                struct storage_error *error)
{
    struct buffer value;
    buffer_init(&value);
    rr_status status = state_moment_get(moment, state_key_applied, &value, error);
    status = decode_position(status, buffer_bytes(&value), out, error);
    buffer_deinit(&value);
    return status;
}

/* Leaves the caller's bytes of what was found in `out`, if `status` says that it was. */
static rr_status decode_meta(rr_status status, struct buffer *out, struct storage_error *error)
{
    if (status == RR_NOT_FOUND) {
        return RR_OK;
    }
    if (status != RR_OK) {
        return status;
    }
    if (out->size > 0 && out->data[0] > VERSION) {
        return newer(out->data[0], error);
    }
    if (out->size < META_HEADER_BYTES || out->data[0] != VERSION ||
        load_u64(out->data + 1) !=
            checksum64(out->data + META_HEADER_BYTES, out->size - META_HEADER_BYTES)) {
        return damaged("configuration", error);
    }
    buffer_consume(out, META_HEADER_BYTES);
    return RR_OK;
}

rr_status state_db_meta(const struct state_db *db, const rocksdb_readoptions_t *options,
                        struct buffer *out, struct storage_error *error)
{
    return decode_meta(state_db_get(db, options, state_key_meta, out, error), out, error);
}

rr_status state_moment_meta(const struct state_moment *moment, struct buffer *out,
                            struct storage_error *error)
{
    return decode_meta(state_moment_get(moment, state_key_meta, out, error), out, error);
}
