// Answers for people: aligned tables and lists of fields.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "wire/json.h"

namespace evp::cli {

/// The text with control characters as '?', so that no answer can play with a terminal.
std::string printable(std::string text);
/// One line an object, columns aligned, all of it printable.
void print_table(std::ostream& out, const wire::json::array& rows, std::span<const column> columns);
/// One line for the object, two spaces between its columns: for lists whose end is not known.
void print_line(std::ostream& out, const wire::json::object& o, std::span<const column> columns);
/// One line a field.
void print_fields(std::ostream& out, const wire::json::object& o);

}  // namespace evp::cli
