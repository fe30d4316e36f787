/* Base64 (RFC 4648): how JSON carries bytes that are no text. Any thread. */
#ifndef HTTP_BASE64_H
#define HTTP_BASE64_H

#include "http/text.h"

/* Appends `bytes` in the standard alphabet, padded. */
void base64_encode(struct text *text, rr_bytes bytes);

/* Appends what `encoded` stands for: the standard or the URL alphabet, padding optional. False if
 * it is not that, or without memory (then text->failed is set). */
bool base64_decode(struct text *text, rr_bytes encoded);

#endif
