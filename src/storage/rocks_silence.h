/* RocksDB without a log of its own; in C++, because its C interface cannot do that. */
#ifndef STORAGE_ROCKS_SILENCE_H
#define STORAGE_ROCKS_SILENCE_H

#include <rocksdb/c.h>

void rocks_silence(rocksdb_options_t *options);

#endif
