/* CORS, off unless the configuration names origins. */
#include "http/cors.h"

#include <string.h>
#include <strings.h>

/* The header for `origin`: "*", itself, or NULL when it is not named. */
static const char *allowed_origin(const rr_config *config, const char *origin)
{
    for (size_t i = 0; i < config->cors_origin_count; i++) {
        if (strcmp(config->cors_origins[i], "*") == 0) {
            return "*";
        }
        if (origin != NULL && strcasecmp(config->cors_origins[i], origin) == 0) {
            return config->cors_origins[i];
        }
    }
    return NULL;
}

bool cors_allows_change(const rr_config *config, const char *origin, const char *host)
{
    if (origin == NULL || allowed_origin(config, origin) != NULL) {
        return true;
    }
    const char *origin_host = strstr(origin, "://");
    return host != NULL && origin_host != NULL && strcasecmp(origin_host + 3, host) == 0;
}

void cors_add_headers(const rr_config *config, const char *origin, bool preflight,
                      struct MHD_Response *response)
{
    if (config->cors_origin_count == 0) {
        return;
    }
    const char *allowed = allowed_origin(config, origin);
    if (allowed == NULL || strcmp(allowed, "*") != 0) {
        MHD_add_response_header(response, "Vary", "origin");
    }
    if (allowed == NULL) {
        return;
    }
    MHD_add_response_header(response, "Access-Control-Allow-Origin", allowed);
    MHD_add_response_header(response, "Access-Control-Expose-Headers", "*");
    if (preflight) {
        MHD_add_response_header(response, "Access-Control-Allow-Methods", "*");
        MHD_add_response_header(response, "Access-Control-Allow-Headers", "*");
    }
}
