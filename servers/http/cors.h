/* Cross-origin rules: which web pages may read our answers, and which may change anything. */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include <rockraft/config.h>

#include <microhttpd.h>
#include <stdbool.h>

/* Whether a request that came with `origin` (NULL: none) and `host` may change anything: no page
 * of a foreign origin may, unless the configuration names it. */
bool cors_allows_change(const rr_config *config, const char *origin, const char *host);

/* Adds the headers that let the page at `origin` (NULL: none) read the answer. */
void cors_add_headers(const rr_config *config, const char *origin, bool preflight,
                      struct MHD_Response *response);

#endif
