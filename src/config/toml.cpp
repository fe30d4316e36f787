/* toml++ behind the C interface of toml.h. No exception leaves this file. */
#include "config/toml.h"

/* The library is compiled in, so that users of librockraft do not need it. */
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

struct toml_document {
    toml::table root;
};

/* Copies `message` as one line. */
static void copy_line(std::string_view message, char *out, size_t size)
{
    size_t used = 0;
    for (char c : message) {
        if (used + 1 >= size) {
            break;
        }
        out[used++] = c == '\n' || c == '\r' ? ' ' : c;
    }
    if (size > 0) {
        out[used] = '\0';
    }
}

extern "C" rr_status toml_parse(rr_bytes text, struct toml_document **out, unsigned *line,
                                char *error, size_t error_size)
{
    *line = 1;
    try {
        std::string_view source(static_cast<const char *>(text.data), text.size);
        *out = new toml_document{toml::parse(source)};
        return RR_OK;
    } catch (const toml::parse_error &problem) {
        *line = static_cast<unsigned>(problem.source().begin.line);
        copy_line(problem.description(), error, error_size);
    } catch (const std::exception &problem) {
        copy_line(problem.what(), error, error_size);
    }
    return RR_INVALID;
}

extern "C" void toml_free(struct toml_document *document)
{
    delete document;
}

static struct toml_value value_of(const toml::node *node)
{
    struct toml_value value = {};
    if (node == nullptr) {
        return value;
    }
    value.kind = TOML_OTHER;
    value.line = static_cast<unsigned>(node->source().begin.line);
    value.node = node;
    if (node->is_table()) {
        value.kind = TOML_TABLE;
    } else if (const toml::array *array = node->as_array()) {
        value.kind = TOML_ARRAY;
        value.count = array->size();
    } else if (const auto *text = node->as_string()) {
        const std::string &content = text->get();
        /* C cannot tell a text with a zero inside from a shorter one, so it counts as no text. */
        if (content.find('\0') == std::string::npos) {
            value.kind = TOML_TEXT;
            value.text = content.c_str();
        }
    } else if (const auto *integer = node->as_integer()) {
        value.kind = TOML_INTEGER;
        value.integer = integer->get();
    } else if (const auto *boolean = node->as_boolean()) {
        value.kind = TOML_BOOLEAN;
        value.boolean = boolean->get();
    }
    return value;
}

static const toml::table *find_table(const struct toml_document *document, const char *table)
{
    if (table == nullptr) {
        return &document->root;
    }
    const toml::node *node = document->root.get(table);
    return node != nullptr ? node->as_table() : nullptr;
}

extern "C" struct toml_value toml_get(const struct toml_document *document, const char *table,
                                      const char *key)
{
    const toml::table *found = find_table(document, table);
    return value_of(found != nullptr ? found->get(key) : nullptr);
}

extern "C" struct toml_value toml_item(struct toml_value array, size_t position)
{
    const toml::node *node = static_cast<const toml::node *>(array.node);
    return value_of(node->as_array()->get(position));
}

extern "C" void toml_each(const struct toml_document *document, const char *table,
                          toml_visit_fn visit, void *arg)
{
    const toml::table *found = find_table(document, table);
    if (found == nullptr) {
        return;
    }
    for (auto &&[key, node] : *found) {
        std::string name(key.str());
        visit(arg, name.c_str(), value_of(&node));
    }
}
