// SPDX-License-Identifier: Apache-2.0
// One description of a struct's fields, from which everything else is made: reading a recipe,
// `--set key=value`, printing as JSON, `--help` and the reference pages.
//
//   struct CagradOptions {
//     double c = 0.4;
//     void describe(FieldVisitor& v) { v.number("c", c, {.min = 0}, "Radius of the ball ..."); }
//   };
//
// A visitor may read the members or replace them; every visitor enforces the same rules through
// check_number / check_choice, so a value is legal or not wherever it comes from.
#pragma once

#include <detente/core/json.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente {

// An interval for numbers; an open end excludes the bound itself. NaN is never legal.
struct NumberRule {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_open = false;
  bool max_open = false;

  bool allows(double value) const;
  std::string text() const;  // "> 0", ">= 0", "in [0, 1]", "any number"
};

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  virtual void number(const char* name, double& value, const NumberRule& rule, const char* doc) = 0;
  virtual void integer(const char* name,
                       std::int64_t& value,
                       const NumberRule& rule,
                       const char* doc) = 0;
  virtual void flag(const char* name, bool& value, const char* doc) = 0;
  virtual void text(const char* name, std::string& value, const char* doc) = 0;
  // One of `allowed`, by name.
  virtual void choice_text(const char* name,
                           std::string& value,
                           const std::vector<std::string>& allowed,
                           const char* doc) = 0;
  virtual void numbers(const char* name,
                       std::vector<double>& values,
                       const NumberRule& rule,
                       const char* doc) = 0;
  // A list of words; when `allowed` is not empty each must be one of them.
  virtual void texts(const char* name,
                     std::vector<std::string>& values,
                     const std::vector<std::string>& allowed,
                     const char* doc) = 0;
  // A nested group of fields.
  virtual void section(const char* name,
                       const char* doc,
                       const std::function<void(FieldVisitor&)>& body) = 0;
  // A list of groups. `resize(n)` makes n of them, `body(i, visitor)` visits the i-th.
  virtual void sections(const char* name,
                        std::size_t size,
                        const std::function<void(std::size_t)>& resize,
                        const std::function<void(std::size_t, FieldVisitor&)>& body,
                        const char* doc) = 0;

  // A word that decides which options stand beside it. `options` describes those of the word as it
  // is then; a visitor that changes the word does so before it calls `options`.
  virtual void kind_text(const char* name,
                         std::string& word,
                         const std::vector<std::string>& names,
                         const std::function<void(FieldVisitor&)>& options,
                         const char* doc) {
    choice_text(name, word, names, doc);
    options(*this);
  }

  // One of `words`, or a list of numbers as text, "[1, 2.5]"; parse_word_or_numbers says which.
  virtual void word_or_numbers(const char* name,
                               std::string& value,
                               const std::vector<std::string>& /*words*/,
                               const NumberRule& /*rule*/,
                               const char* doc) {
    text(name, value, doc);
  }

  // A file or folder. A relative one belongs to the folder of whoever wrote it.
  virtual void file(const char* name, std::string& value, const char* doc) {
    text(name, value, doc);
  }

  // An object of one of several kinds, chosen by a word, and its own options beside the word: a
  // method by `balance.method`, a loss by `loss.name`. `current` points to the object and is made
  // anew, by `make(word)`, where the word is no longer what the object's name() (or kind()) says.
  // config/kinds.h lets `--set` replace the word without stumbling over the earlier one's options.
  template <class Pointer, class Make>
  void kind(const char* name,
            std::string& word,
            const std::vector<std::string>& names,
            Pointer& current,
            const Make& make,
            const char* doc) {
    const auto options = [&](FieldVisitor& visitor) {
      if (current == nullptr || word != word_of(*current)) current = make(word);
      current->describe(visitor);
    };
    kind_text(name, word, names, options, doc);
  }

  // An enumeration through the names of its values.
  template <class E>
  void choice(const char* name,
              E& value,
              const std::vector<std::pair<std::string, E>>& names,
              const char* doc) {
    std::vector<std::string> allowed;
    std::string word;
    for (const auto& [key, enumerator] : names) {
      allowed.push_back(key);
      if (enumerator == value) word = key;
    }
    choice_text(name, word, allowed, doc);
    for (const auto& [key, enumerator] : names) {
      if (key == word) value = enumerator;
    }
  }

 private:
  template <class T>
  static std::string word_of(const T& object) {
    if constexpr (requires { object.name(); }) {
      return object.name();
    } else {
      return object.kind();
    }
  }
};

using Describe = std::function<void(FieldVisitor&)>;

// A field as documentation sees it. Nested fields carry dotted names ("optimizer.lr").
struct FieldInfo {
  std::string name;
  std::string type;           // number, integer, flag, text, choice, numbers, texts, list
  std::string default_value;  // as it would be written in a recipe
  std::string rule;           // interval or list of allowed values, "" when anything goes
  std::string doc;
};

std::vector<FieldInfo> list_fields(const Describe& describe);
Json fields_to_json(const Describe& describe);

// Sets one field from text ("c", "0.5"), with dotted names for nested ones. `where` opens the
// message of the error (kInvalidArgument): unknown name (with the nearest), wrong type, bad value.
void set_field(const Describe& describe,
               const std::string& name,
               const std::string& text,
               const std::string& where);

// The shared rules; each throws kInvalidArgument, its message opened by `where`.
double parse_number(std::string_view text, const std::string& where, const std::string& name);
std::int64_t parse_integer(std::string_view text,
                           const std::string& where,
                           const std::string& name);
// Nothing for one of `words`, else the numbers of a list such as "[1, 2.5]", brackets optional.
std::optional<std::vector<double>> parse_word_or_numbers(std::string_view text,
                                                         const std::vector<std::string>& words,
                                                         const NumberRule& rule,
                                                         const std::string& where,
                                                         const std::string& name);
bool parse_flag(std::string_view text, const std::string& where, const std::string& name);
void check_number(double value,
                  const NumberRule& rule,
                  const std::string& where,
                  const std::string& name);
void check_choice(const std::string& value,
                  const std::vector<std::string>& allowed,
                  const std::string& where,
                  const std::string& name);

// Shortest text that reads back as the same double ("0.4", "1e-08").
std::string number_text(double value);

// Enforces the rules on the values as they stand; for options filled in by C++ code.
void validate_fields(const Describe& describe, const std::string& where);

}  // namespace detente
