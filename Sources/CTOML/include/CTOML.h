// toml++ (github.com/marzer/tomlplusplus), a C++ library, for Swift: the values of a TOML document with their lines.
#ifndef CTOML_H
#define CTOML_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parsed document. It owns the bytes of its nodes.
typedef struct ctoml_document ctoml_document;

typedef enum ctoml_kind {
  ctoml_table,
  ctoml_array,
  ctoml_string,
  ctoml_integer,
  ctoml_float,
  ctoml_boolean,
  ctoml_date
} ctoml_kind;

/// A value. The values of a table or an array follow it, each with all values inside it.
typedef struct ctoml_node {
  ctoml_kind kind;
  /// Whether the node has a key: its parent is a table.
  bool has_key;
  bool boolean;
  /// The line of the key, or of the element in an array, from 1.
  uint32_t line;
  /// The line of the value itself: for a table, of its header.
  uint32_t value_line;
  /// The key: not ended by a NUL, but it may contain some.
  const char *key;
  size_t key_bytes;
  /// The text of a string, in the same form.
  const char *text;
  size_t text_bytes;
  int64_t integer;
  double number;
  /// The values of a table, in the order of their keys in the document, or of an array.
  size_t children;
} ctoml_node;

/// Parses a document of TOML 1.0. Returns NULL if there is an error, and writes its line and the reason, ended
/// by a NUL, to `line` and `reason`.
ctoml_document *ctoml_parse(const char *bytes, size_t count, uint32_t *line, char *reason, size_t reason_bytes);
void ctoml_free(ctoml_document *document);

/// Returns all values: first the root, which is a table.
const ctoml_node *ctoml_nodes(const ctoml_document *document, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
