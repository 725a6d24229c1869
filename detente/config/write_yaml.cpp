// SPDX-License-Identifier: Apache-2.0
#include <detente/config/tree.h>
#include <detente/core/ascii.h>

#include <algorithm>
#include <array>

namespace detente::config {
namespace {

// Only what no reader of YAML takes for something else goes without quotes: letters first, then
// the signs of names and paths, and none of YAML's words.
bool is_plain(const std::string& text) {
  constexpr std::array<std::string_view, 11> kWords = {
      "null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto inner = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') ||
           std::string_view("_./+- ").find(c) != std::string_view::npos;
  };
  if (text.empty() || text.back() == ' ') return false;
  if (!letter(text.front()) && text.front() != '_' && text.front() != '/') return false;
  if (!std::all_of(text.begin(), text.end(), inner)) return false;
  return std::find(kWords.begin(), kWords.end(), lower_ascii(text)) == kWords.end();
}

std::string scalar_yaml(const Json& value) {
  if (value.is_string()) return text_yaml(value.get_ref<const std::string&>());
  if (value.is_null()) return "null";
  if (value.is_number_float()) return number_text(value.get<double>());
  return value.dump();
}

void write_yaml(const Json& json, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : json.items()) {
    out += indent + text_yaml(key) + ":";
    if (value.is_object()) {
      if (value.empty()) out += " {}";
      out += "\n";
      write_yaml(value, indent + "  ", out);
    } else if (value.is_array() && !value.empty() && value.front().is_object()) {
      out += "\n";
      for (const auto& item : value) {
        std::string block;
        write_yaml(item, indent + "    ", block);
        block.replace(indent.size() + 2, 1, "-");
        out += block;
      }
    } else if (value.is_array()) {
      out += " [";
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out += ", ";
        out += scalar_yaml(value[i]);
      }
      out += "]\n";
    } else {
      out += " " + scalar_yaml(value) + "\n";
    }
  }
}

std::string escape_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string text_yaml(const std::string& text) { return is_plain(text) ? text : Json(text).dump(); }

std::string to_yaml(const Describe& describe) {
  std::string out;
  write_yaml(fields_to_json(describe), "", out);
  return out;
}

std::string fields_markdown(const Describe& describe) {
  std::string out;
  std::string open;
  bool first = true;
  for (const FieldInfo& field : list_fields(describe)) {
    const std::size_t dot = field.name.rfind('.');
    const std::string section = dot == std::string::npos ? "" : field.name.substr(0, dot);
    if (first || section != open) {
      out += "\n### " + (section.empty() ? std::string("top level") : "`" + section + "`") +
             "\n\n| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n";
      open = section;
      first = false;
    }
    const std::string shown =
        field.default_value.empty() ? "" : "`" + escape_cell(field.default_value) + "`";
    out += "| `" + escape_cell(field.name) + "` | " + field.type + " | " + shown + " | " +
           escape_cell(field.rule) + " | " + escape_cell(field.doc) + " |\n";
  }
  return out;
}

}  // namespace detente::config
