/* The bytes of a key's record; see key_record.h. */
#include "coredb/value/key_record.h"

enum {
    TYPE_BITS = 4,
    LOW_BITS = 0x0f,
    HAS_EXPIRY = 0x10,
    HAS_FIRST = 0x20,
    FLAGS = HAS_EXPIRY | HAS_FIRST,
};

const char *value_type_name(enum value_type type)
{
    switch (type) {
    case VALUE_NONE:
        return "none";
    case VALUE_STRING:
        return "string";
    case VALUE_LIST:
        return "list";
    case VALUE_SET:
        return "set";
    case VALUE_ZSET:
        return "zset";
    case VALUE_HASH:
        return "hash";
    case VALUE_STREAM:
        return "stream";
    }
    return "none";
}

const char *value_encoding_name(enum value_encoding encoding)
{
    static const char *const names[] = {"raw",      "raw",       "listpack", "hashtable", "intset",
                                        "skiplist", "quicklist", "stream",   "int",       "embstr"};
    return (size_t)encoding < sizeof(names) / sizeof(*names) ? names[encoding] : "raw";
}

/* Small numbers of either sign become small ones without. */
static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

void key_record_encode(struct buffer *out, const struct key_record *record)
{
    bool is_string = record->type == VALUE_STRING;
    bool has_first = !is_string && record->first != 0;
    buffer_append_byte(out, (uint8_t)(KEY_RECORD_VERSION << TYPE_BITS | (int)record->type));
    buffer_append_byte(out,
                       (uint8_t)((int)record->encoding | (record->expire_ms != 0 ? HAS_EXPIRY : 0) |
                                 (has_first ? HAS_FIRST : 0)));
    buffer_put_varint(out, record->modified);
    if (record->expire_ms != 0) {
        buffer_put_varint(out, record->expire_ms);
    }
    if (!is_string) {
        buffer_put_varint(out, record->object);
        buffer_put_varint(out, record->count);
    }
    if (has_first) {
        buffer_put_varint(out, zigzag(record->first));
    }
    buffer_append_bytes(out, record->payload);
}

static bool encoding_fits(enum value_type type, enum value_encoding encoding)
{
    switch (type) {
    case VALUE_STRING:
        return encoding == ENCODING_AUTO || encoding == ENCODING_RAW || encoding == ENCODING_EMBSTR;
    case VALUE_LIST:
        return encoding == ENCODING_QUICKLIST;
    case VALUE_SET:
        return encoding == ENCODING_INTSET || encoding == ENCODING_HASHTABLE;
    case VALUE_ZSET:
        return encoding == ENCODING_LISTPACK || encoding == ENCODING_SKIPLIST;
    case VALUE_HASH:
        return encoding == ENCODING_LISTPACK || encoding == ENCODING_HASHTABLE;
    case VALUE_STREAM:
        return encoding == ENCODING_STREAM;
    case VALUE_NONE:
        break;
    }
    return false; /* also for a type of another version */
}

bool key_record_decode(rr_bytes value, struct key_record *out)
{
    struct reader reader = reader_of(value);
    *out = (struct key_record){.type = VALUE_NONE};
    uint8_t head = reader_u8(&reader);
    uint8_t second = reader_u8(&reader);
    bool has_expiry = (second & HAS_EXPIRY) != 0;
    bool has_first = (second & HAS_FIRST) != 0;
    out->type = (enum value_type)(head & LOW_BITS);
    out->encoding = (enum value_encoding)(second & LOW_BITS);
    out->modified = reader_varint(&reader);
    out->expire_ms = has_expiry ? reader_varint(&reader) : 0;
    bool is_string = out->type == VALUE_STRING;
    if (!is_string) {
        out->object = reader_varint(&reader);
        out->count = reader_varint(&reader);
        out->first = has_first ? unzigzag(reader_varint(&reader)) : 0;
    }
    out->payload = (rr_bytes){reader.data, reader.left};
    return !reader.failed && head >> TYPE_BITS == KEY_RECORD_VERSION &&
           encoding_fits(out->type, out->encoding) && (second & ~(LOW_BITS | FLAGS)) == 0 &&
           has_expiry == (out->expire_ms != 0) && has_first == (out->first != 0) &&
           is_string == (out->object == 0);
}
