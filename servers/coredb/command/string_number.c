/* Strings that are numbers: INCR and its kin. */
#include "coredb/base/number.h"
#include "coredb/command/string.h"

static void incr_opened(struct exec *exec, struct key *key, int64_t increment)
{
    int64_t value = 0;
    if (key->type != VALUE_NONE && !number_parse_i64(buffer_bytes(&key->payload), &value)) {
        reply_error_not_integer(exec->reply);
        return;
    }
    if (__builtin_add_overflow(value, increment, &value)) {
        reply_error(exec->reply, "ERR increment or decrement would overflow");
        return;
    }
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_i64(value, text);
    string_store(exec, key, (rr_bytes){text, size}, ENCODING_AUTO);
    key_notify(exec->store, key, NOTIFY_STRING, "incrby");
    reply_integer(exec->reply, value);
}

static void incr_by(struct exec *exec, int64_t increment)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        incr_opened(exec, &key, increment);
    }
    key_close(&key);
}

void string_incr(struct exec *exec)
{
    incr_by(exec, 1);
}

void string_decr(struct exec *exec)
{
    incr_by(exec, -1);
}

void string_incrby(struct exec *exec)
{
    int64_t increment;
    if (exec_integer(exec, 2, &increment)) {
        incr_by(exec, increment);
    }
}

void string_decrby(struct exec *exec)
{
    int64_t decrement;
    if (!exec_integer(exec, 2, &decrement)) {
        return;
    }
    if (decrement == INT64_MIN) {
        reply_error(exec->reply, "ERR decrement would overflow");
        return;
    }
    incr_by(exec, -decrement);
}

static void incrbyfloat_opened(struct exec *exec, struct key *key)
{
    long double value = 0;
    long double increment;
    if ((key->type != VALUE_NONE &&
         !number_parse_long_double(buffer_bytes(&key->payload), &value)) ||
        !number_parse_long_double(exec->argv[2], &increment)) {
        reply_error_not_float(exec->reply);
        return;
    }
    value += increment;
    if (__builtin_isnan(value) || __builtin_isinf(value)) {
        reply_error(exec->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[NUMBER_LONG_DOUBLE_MAX];
    size_t size = number_print_long_double(value, text);
    /* Redis does not look for an integer in this text. */
    string_store(exec, key, (rr_bytes){text, size}, ENCODING_EMBSTR);
    key_notify(exec->store, key, NOTIFY_STRING, "incrbyfloat");
    reply_bulk(exec->reply, (rr_bytes){text, size});
}

void string_incrbyfloat(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        incrbyfloat_opened(exec, &key);
    }
    key_close(&key);
}
