// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace detente {
namespace {

std::string join_path(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

std::string numbers_text(const std::vector<double>& values) {
  std::string text = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += ", ";
    text += number_text(values[i]);
  }
  return text + "]";
}

// A visitor that looks and changes nothing; lists are walked as they are.
class ReadingVisitor : public FieldVisitor {
 public:
  void section(const char* name,
               const char* /*doc*/,
               const std::function<void(FieldVisitor&)>& body) override {
    const std::string outer = prefix_;
    prefix_ = join_path(prefix_, name);
    body(*this);
    prefix_ = outer;
  }
  void sections(const char* name,
                std::size_t size,
                const std::function<void(std::size_t)>&,
                const std::function<void(std::size_t, FieldVisitor&)>& body,
                const char* /*doc*/) override {
    const std::string outer = prefix_;
    for (std::size_t i = 0; i < size; ++i) {
      prefix_ = join_path(outer, std::string(name) + "[" + std::to_string(i) + "]");
      body(i, *this);
    }
    prefix_ = outer;
  }

 protected:
  std::string path(const char* name) const { return join_path(prefix_, name); }
  std::string prefix_;
};

class ListVisitor : public ReadingVisitor {
 public:
  std::vector<FieldInfo> fields;

  void number(const char* name, double& value, const NumberRule& rule, const char* doc) override {
    fields.push_back({path(name), "number", number_text(value), rule.text(), doc});
  }
  void integer(const char* name,
               std::int64_t& value,
               const NumberRule& rule,
               const char* doc) override {
    fields.push_back({path(name), "integer", std::to_string(value), rule.text(), doc});
  }
  void flag(const char* name, bool& value, const char* doc) override {
    fields.push_back({path(name), "flag", value ? "true" : "false", "true or false", doc});
  }
  void text(const char* name, std::string& value, const char* doc) override {
    fields.push_back({path(name), "text", value, "", doc});
  }
  void choice_text(const char* name,
                   std::string& value,
                   const std::vector<std::string>& allowed,
                   const char* doc) override {
    fields.push_back({path(name), "choice", value, join_names(allowed), doc});
  }
  void numbers(const char* name,
               std::vector<double>& values,
               const NumberRule& rule,
               const char* doc) override {
    fields.push_back({path(name), "numbers", numbers_text(values), rule.text(), doc});
  }
  void texts(const char* name,
             std::vector<std::string>& values,
             const std::vector<std::string>& allowed,
             const char* doc) override {
    fields.push_back(
        {path(name), "texts", "[" + join_names(values) + "]", join_names(allowed), doc});
  }
  void word_or_numbers(const char* name,
                       std::string& value,
                       const std::vector<std::string>& words,
                       const NumberRule& rule,
                       const char* doc) override {
    fields.push_back({path(name),
                      "word or numbers",
                      value,
                      join_names(words) + ", or numbers " + rule.text(),
                      doc});
  }
  // A list is documented by one entry of it, named "tasks[]".
  void sections(const char* name,
                std::size_t /*size*/,
                const std::function<void(std::size_t)>& resize,
                const std::function<void(std::size_t, FieldVisitor&)>& body,
                const char* doc) override {
    fields.push_back({path(name), "list", "[]", "", doc});
    resize(1);
    const std::string outer = prefix_;
    prefix_ = join_path(outer, std::string(name) + "[]");
    body(0, *this);
    prefix_ = outer;
    resize(0);
  }
};

class JsonVisitor : public FieldVisitor {
 public:
  Json json = Json::object();

  void number(const char* name, double& value, const NumberRule&, const char*) override {
    json[name] = json_number(value);
  }
  void integer(const char* name, std::int64_t& value, const NumberRule&, const char*) override {
    json[name] = value;
  }
  void flag(const char* name, bool& value, const char*) override { json[name] = value; }
  void text(const char* name, std::string& value, const char*) override { json[name] = value; }
  void choice_text(const char* name,
                   std::string& value,
                   const std::vector<std::string>&,
                   const char*) override {
    json[name] = value;
  }
  void numbers(const char* name,
               std::vector<double>& values,
               const NumberRule&,
               const char*) override {
    json[name] = values;
  }
  void texts(const char* name,
             std::vector<std::string>& values,
             const std::vector<std::string>&,
             const char*) override {
    json[name] = values;
  }
  void word_or_numbers(const char* name,
                       std::string& value,
                       const std::vector<std::string>& words,
                       const NumberRule& rule,
                       const char*) override {
    const auto numbers = parse_word_or_numbers(value, words, rule, "[fields_to_json]", name);
    json[name] = numbers ? Json(*numbers) : Json(value);
  }
  void section(const char* name,
               const char*,
               const std::function<void(FieldVisitor&)>& body) override {
    JsonVisitor inner;
    body(inner);
    json[name] = std::move(inner.json);
  }
  void sections(const char* name,
                std::size_t size,
                const std::function<void(std::size_t)>&,
                const std::function<void(std::size_t, FieldVisitor&)>& body,
                const char*) override {
    Json list = Json::array();
    for (std::size_t i = 0; i < size; ++i) {
      JsonVisitor inner;
      body(i, inner);
      list.push_back(std::move(inner.json));
    }
    json[name] = std::move(list);
  }
};

std::vector<std::string> split_list(std::string_view text) {
  if (!text.empty() && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    parts.emplace_back(part);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts;
}

class SetVisitor : public ReadingVisitor {
 public:
  SetVisitor(std::string target, std::string text, std::string where)
      : target_(std::move(target)), text_(std::move(text)), where_(std::move(where)) {}

  bool found = false;
  std::vector<std::string> seen;

  void number(const char* name, double& value, const NumberRule& rule, const char*) override {
    if (!matches(name)) return;
    const double parsed = parse_number(text_, where_, target_);
    check_number(parsed, rule, where_, target_);
    value = parsed;
  }
  void integer(const char* name,
               std::int64_t& value,
               const NumberRule& rule,
               const char*) override {
    if (!matches(name)) return;
    const std::int64_t parsed = parse_integer(text_, where_, target_);
    check_number(static_cast<double>(parsed), rule, where_, target_);
    value = parsed;
  }
  void flag(const char* name, bool& value, const char*) override {
    if (matches(name)) value = parse_flag(text_, where_, target_);
  }
  void text(const char* name, std::string& value, const char*) override {
    if (matches(name)) value = text_;
  }
  void choice_text(const char* name,
                   std::string& value,
                   const std::vector<std::string>& allowed,
                   const char*) override {
    if (!matches(name)) return;
    check_choice(text_, allowed, where_, target_);
    value = text_;
  }
  void numbers(const char* name,
               std::vector<double>& values,
               const NumberRule& rule,
               const char*) override {
    if (!matches(name)) return;
    std::vector<double> parsed;
    for (const auto& part : split_list(text_)) {
      parsed.push_back(parse_number(part, where_, target_));
      check_number(parsed.back(), rule, where_, target_);
    }
    values = std::move(parsed);
  }
  void texts(const char* name,
             std::vector<std::string>& values,
             const std::vector<std::string>& allowed,
             const char*) override {
    if (!matches(name)) return;
    auto parsed = split_list(text_);
    if (!allowed.empty()) {
      for (const auto& word : parsed) check_choice(word, allowed, where_, target_);
    }
    values = std::move(parsed);
  }

 private:
  bool matches(const char* name) {
    seen.push_back(path(name));
    if (seen.back() != target_) return false;
    found = true;
    return true;
  }

  std::string target_;
  std::string text_;
  std::string where_;
};

class ValidateVisitor : public ReadingVisitor {
 public:
  explicit ValidateVisitor(std::string where) : where_(std::move(where)) {}

  void number(const char* name, double& value, const NumberRule& rule, const char*) override {
    check_number(value, rule, where_, path(name));
  }
  void integer(const char* name,
               std::int64_t& value,
               const NumberRule& rule,
               const char*) override {
    check_number(static_cast<double>(value), rule, where_, path(name));
  }
  void flag(const char*, bool&, const char*) override {}
  void text(const char*, std::string&, const char*) override {}
  void choice_text(const char* name,
                   std::string& value,
                   const std::vector<std::string>& allowed,
                   const char*) override {
    check_choice(value, allowed, where_, path(name));
  }
  void numbers(const char* name,
               std::vector<double>& values,
               const NumberRule& rule,
               const char*) override {
    for (const double value : values) check_number(value, rule, where_, path(name));
  }
  void texts(const char* name,
             std::vector<std::string>& values,
             const std::vector<std::string>& allowed,
             const char*) override {
    if (allowed.empty()) return;
    for (const auto& value : values) check_choice(value, allowed, where_, path(name));
  }

 private:
  std::string where_;
};

}  // namespace

bool NumberRule::allows(double value) const {
  if (std::isnan(value)) return false;
  const bool above = min_open ? value > min : value >= min;
  const bool below = max_open ? value < max : value <= max;
  return above && below;
}

std::string NumberRule::text() const {
  const bool bounded_below = std::isfinite(min);
  const bool bounded_above = std::isfinite(max);
  if (bounded_below && bounded_above) {
    return std::string("in ") + (min_open ? "(" : "[") + number_text(min) + ", " +
           number_text(max) + (max_open ? ")" : "]");
  }
  if (bounded_below) return (min_open ? "> " : ">= ") + number_text(min);
  if (bounded_above) return (max_open ? "< " : "<= ") + number_text(max);
  return "any number";
}

std::vector<FieldInfo> list_fields(const Describe& describe) {
  ListVisitor visitor;
  describe(visitor);
  return std::move(visitor.fields);
}

Json fields_to_json(const Describe& describe) {
  JsonVisitor visitor;
  describe(visitor);
  return std::move(visitor.json);
}

void set_field(const Describe& describe,
               const std::string& name,
               const std::string& text,
               const std::string& where) {
  SetVisitor visitor(name, text, where);
  describe(visitor);
  if (visitor.found) return;
  DETENTE_CHECK(!visitor.seen.empty(),
                ErrorCode::kInvalidArgument,
                "{} '{}' is not an option; there are none here.",
                where,
                name);
  fail(ErrorCode::kInvalidArgument,
       "{} '{}' is not an option; {}",
       where,
       name,
       expected_one_of(name, visitor.seen));
}

double parse_number(std::string_view text, const std::string& where, const std::string& name) {
  double value = 0;
  std::string_view digits = text;
  if (!digits.empty() && digits.front() == '+') digits.remove_prefix(1);
  if (digits.size() > 1 && digits.front() == '.') digits.remove_prefix(1);  // YAML's .inf, .5
  const bool dotted_digits = text.size() > 1 && text[text.front() == '+' ? 1 : 0] == '.' &&
                             digits.front() >= '0' && digits.front() <= '9';
  if (dotted_digits) digits = text.substr(text.front() == '+' ? 1 : 0);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  DETENTE_CHECK(error == std::errc() && end == digits.data() + digits.size() && !digits.empty(),
                ErrorCode::kInvalidArgument,
                "{} '{}' must be a number; got '{}'.",
                where,
                name,
                text);
  return value;
}

std::int64_t parse_integer(std::string_view text,
                           const std::string& where,
                           const std::string& name) {
  const auto value = whole_number<std::int64_t>(text);
  DETENTE_CHECK(value.has_value(),
                ErrorCode::kInvalidArgument,
                "{} '{}' must be a whole number; got '{}'.",
                where,
                name,
                text);
  return *value;
}

std::optional<std::vector<double>> parse_word_or_numbers(std::string_view text,
                                                         const std::vector<std::string>& words,
                                                         const NumberRule& rule,
                                                         const std::string& where,
                                                         const std::string& name) {
  if (std::find(words.begin(), words.end(), text) != words.end()) return std::nullopt;
  std::vector<double> numbers;
  const auto refuse = [&] {
    fail(ErrorCode::kInvalidArgument,
         "{} '{}' must be one of: {}; or a list of numbers {}, e.g. [1, 2.5]; got '{}'.{}",
         where,
         name,
         join_names(words),
         rule.text(),
         text,
         did_you_mean(std::string(text), words));
  };
  for (const std::string& part : split_list(text)) {
    try {
      numbers.push_back(parse_number(part, where, name));
    } catch (const Error&) {
      refuse();
    }
    check_number(numbers.back(), rule, where, name);
  }
  if (numbers.empty()) refuse();
  return numbers;
}

bool parse_flag(std::string_view text, const std::string& where, const std::string& name) {
  const std::string word = lower_ascii(std::string(text));  // YAML's True, Yes and ON
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  fail(ErrorCode::kInvalidArgument, "{} '{}' must be true or false; got '{}'.", where, name, text);
}

void check_number(double value,
                  const NumberRule& rule,
                  const std::string& where,
                  const std::string& name) {
  DETENTE_CHECK(rule.allows(value),
                ErrorCode::kInvalidArgument,
                "{} '{}' must be {}; got {}.",
                where,
                name,
                rule.text(),
                number_text(value));
}

void check_choice(const std::string& value,
                  const std::vector<std::string>& allowed,
                  const std::string& where,
                  const std::string& name) {
  for (const auto& word : allowed) {
    if (word == value) return;
  }
  fail(ErrorCode::kInvalidArgument,
       "{} '{}' must be one of: {}; got '{}'.{}",
       where,
       name,
       join_names(allowed),
       value,
       did_you_mean(value, allowed));
}

std::string number_text(double value) { return fmt::format("{}", value); }

void validate_fields(const Describe& describe, const std::string& where) {
  ValidateVisitor visitor(where);
  describe(visitor);
}

}  // namespace detente
