/*
 * What the files of this layer share: filling a configuration from a document.
 */
#ifndef CONFIG_CONFIG_PRIVATE_H
#define CONFIG_CONFIG_PRIVATE_H

#include "config/toml.h"
#include "rockraft/config.h"

/* A configuration with every default that does not depend on the file; texts are NULL. */
rr_config *config_new_empty(void);

/*
 * Fills `config` from `document`. `server_key` ends in "_addr"; what stands before that names the
 * table of the server's own settings. The keys of `settings_table`, unless NULL, are kept as they
 * are. `error` receives one line on failure.
 *
 * Returns RR_OK or RR_INVALID; `config` may then be half filled, and is still the caller's.
 */
rr_status config_read(const struct toml_document *document, const char *name,
                      const char *server_key, const char *settings_table, rr_config *config,
                      char *error, size_t error_size);

/* A printf-like text in new memory, never NULL; freed with mem_free. */
char *config_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Appends `text`, which is taken, to the `count` texts at `list`. */
void config_append_text(const char *const **list, size_t *count, char *text);

#endif
