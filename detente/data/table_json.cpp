// SPDX-License-Identifier: Apache-2.0
// JSON lines as tables.
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <detente/data/table.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace detente::data {
namespace {

// The keys and values of one line, in text. Whatever is no object of plain values ends the reading, with
// the reason in `problem`.
class FlatObject final : public nlohmann::json_sax<Json> {
 public:
  struct Entry {
    std::string key;
    std::string cell;
  };

  void clear() {
    used_ = 0;
    open_ = false;
    problem.clear();
    offset = 0;
  }
  std::span<const Entry> entries() const { return {entries_.data(), used_}; }

  bool null() override { return put(""); }
  bool boolean(bool value) override { return put(value ? "1" : "0"); }
  bool number_integer(std::int64_t value) override { return put(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) override { return put(std::to_string(value)); }
  bool number_float(double /*value*/, const std::string& text) override { return put(text); }
  bool string(std::string& value) override {
    if (!open_ || value.find('\0') == std::string::npos) return put(value);
    problem = where() + " holds a NUL character; expected text";
    return false;
  }
  bool binary(Json::binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override {
    if (open_) return nested("an object");
    open_ = true;
    return true;
  }
  bool start_array(std::size_t /*size*/) override { return open_ ? nested("a list") : no_object(); }
  bool end_object() override { return true; }
  bool end_array() override { return true; }
  bool key(std::string& value) override {
    const std::string_view name = trim(value);
    if (name.find('\0') != std::string_view::npos) {
      problem = "a key holds a NUL character; expected text";
      return false;
    }
    if (used_ == entries_.size()) entries_.emplace_back();
    entries_[used_++].key = name;
    return true;
  }
  bool parse_error(std::size_t position,
                   const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    offset = position;
    problem = error.id == 406 ? "a number is too large for a double" : "it is no JSON";
    return false;
  }

  std::string problem;
  std::size_t offset = 0;  // of a byte that is no JSON, from 1; 0: elsewhere

 private:
  std::string where() const { return "key '" + entries_[used_ - 1].key + "'"; }
  bool no_object() {
    problem = "it is not an object";
    return false;
  }
  bool nested(const char* what) {
    problem = where() + " holds " + what + "; expected a number, a string, true, false or null";
    return false;
  }
  bool put(std::string_view cell) {
    if (!open_) return no_object();
    entries_[used_ - 1].cell = cell;
    return true;
  }

  std::vector<Entry> entries_;  // kept from line to line for their memory
  std::size_t used_ = 0;
  bool open_ = false;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

// Cells take the place of the lines they come from: no line's cells are longer than the line, so
// nothing but one line and the cells' places is held beside the contents.
void Table::parse_json_lines(std::string& bytes, const TextBefore& before, Table& table) {
  std::vector<std::string> names = before.names;
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t c = 0; c < names.size(); ++c) places.emplace(names[c], c);
  std::vector<std::size_t> given(names.size(), 0);  // per column, the last row that gave it, from 1
  std::size_t stride = names.size();                // cells kept per row; grows by doubling
  // A matrix of cells for a file of ever new keys would take far more memory than the file.
  const std::size_t most_cells = 4 * bytes.size() + (std::size_t{1} << 20U);
  const auto widen = [&](std::size_t wanted) {
    std::vector<Cell> wider(table.lines_.size() * wanted);
    const std::size_t kept = std::min(stride, wanted);
    for (std::size_t row = 0; row < table.lines_.size(); ++row) {
      for (std::size_t c = 0; c < kept; ++c) {
        wider[row * wanted + c] = table.cells_[row * stride + c];
      }
    }
    table.cells_ = std::move(wider);
    stride = wanted;
  };
  FlatObject object;
  std::size_t out = 0;
  std::size_t line = before.lines;
  std::size_t blank = 0;  // a blank line that something may still follow
  std::size_t in = bytes.starts_with("\xef\xbb\xbf") ? 3 : 0;
  while (in < bytes.size()) {
    ++line;
    const std::size_t end = std::min(bytes.find('\n', in), bytes.size());
    const std::string_view text = std::string_view(bytes).substr(in, end - in);
    in = std::min(end + 1, bytes.size());
    if (is_blank(text)) {
      if (blank == 0) blank = line;
      continue;
    }
    DETENTE_CHECK(
        blank == 0,
        ErrorCode::kData,
        "[data::Table] line {} of '{}' is blank; expected an object. Blank lines are allowed "
        "only at the end.",
        blank,
        table.source_);
    object.clear();
    const bool whole = Json::sax_parse(text.begin(), text.end(), &object);
    DETENTE_CHECK(whole && object.problem.empty(),
                  ErrorCode::kData,
                  "[data::Table] line {} of '{}': {}{}. JSON lines have one object a line, e.g. {}",
                  line,
                  table.source_,
                  object.problem,
                  object.offset > 0 ? fmt::format(" from byte {} on", object.offset) : "",
                  R"({"text": "red", "label": 1}.)");
    table.lines_.push_back(line);
    const std::size_t row = table.lines_.size();
    table.cells_.resize(row * stride);
    for (const auto& [key, cell] : object.entries()) {
      const auto [place, fresh] = places.emplace(key, names.size());
      if (fresh) {
        names.push_back(key);
        given.push_back(0);
        DETENTE_CHECK(
            row <= most_cells / names.size(),
            ErrorCode::kData,
            "[data::Table] '{}' has {} different keys in its first {} lines, nearly all of "
            "them missing in nearly all lines; expected the same keys again and again.",
            table.source_,
            names.size(),
            line);
        if (names.size() > stride) widen(std::max<std::size_t>(2 * stride, names.size()));
      }
      DETENTE_CHECK(
          given[place->second] != row,
          ErrorCode::kData,
          "[data::Table] line {} of '{}' has the key '{}' twice; expected every key once.",
          line,
          table.source_,
          key);
      given[place->second] = row;
      std::copy(cell.begin(), cell.end(), bytes.begin() + static_cast<std::ptrdiff_t>(out));
      table.cells_[(row - 1) * stride + place->second] = {out, cell.size()};
      out += cell.size();
    }
    DETENTE_CHECK(
        row <= most_cells / std::max<std::size_t>(names.size(), 1),
        ErrorCode::kData,
        "[data::Table] '{}' has {} different keys in its first {} lines, nearly all of them "
        "missing in nearly all lines; expected the same keys again and again.",
        table.source_,
        names.size(),
        line);
  }
  DETENTE_CHECK(!names.empty(),
                ErrorCode::kData,
                "[data::Table] '{}' has no {}; expected at least one, e.g. {}",
                table.source_,
                table.lines_.empty() ? "line with an object" : "key in any of its objects",
                R"({"text": "red", "label": 1}.)");
  if (stride != names.size()) widen(names.size());
  bytes.resize(out);
  bytes.shrink_to_fit();
  table.take_names(std::move(names));
}

}  // namespace detente::data
