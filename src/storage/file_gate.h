/*
 * A disk that stands still or is full, for tests: what files under a path meet, in this whole
 * process. Production code only passes through file.c. Any thread.
 */
#ifndef STORAGE_FILE_GATE_H
#define STORAGE_FILE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From now on whoever writes or syncs a file (file.h) whose path begins with `prefix` waits until
 * file_gate_open. One gate at a time; `prefix` is copied. */
void file_gate_close(const char *prefix);
void file_gate_open(void);

/* How many threads wait at the gate. */
size_t file_gate_waiting(void);

/* From now on file_space_available says `bytes` for paths that begin with `prefix`; without a
 * prefix (NULL) it tells the truth again. One prefix at a time. */
void file_gate_set_space(const char *prefix, uint64_t bytes);

/* --- For file.c --- */

void file_gate_pass(const char *path);
bool file_gate_space(const char *path, uint64_t *out);

#endif
