/* The JSON body of a request, for the handlers. HTTP thread. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "http/exchange.h"
#include "http/json_read.h"

/* Parses the body. NULL when it is no JSON; the exchange has then been answered. The caller ends
 * with json_decref. */
json_t *body_parse(struct exchange *exchange);

/* The same, and answers 422 unless it is an object. */
json_t *body_parse_object(struct exchange *exchange);

/* Answers 422 with a printf-like text after "Invalid request: ". */
void body_refuse(struct exchange *exchange, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads the member `name`, which must be there. False when it is not, or wrong; the exchange has
 * then been answered. json_bytes_deinit is due in both cases. */
bool body_require_bytes(struct exchange *exchange, const json_t *object, const char *name,
                        struct json_bytes *out);

#endif
