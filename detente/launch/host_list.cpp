// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/whole_number.h>
#include <detente/launch/host_list.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>

namespace detente::launch {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kMostNames = 65536;
constexpr int kDeepest = 16;         // groups in groups
constexpr std::size_t kLongest = 9;  // digits of a number in a range

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// list = item {"," item};  item = {character | "[" list "]"};  within a group an item may be a range.
class HostList {
 public:
  explicit HostList(std::string_view text) : text_(text) {}

  Names all() {
    Names names = list(0);
    if (at_ < text_.size()) refuse("']' without its '['");
    return names;
  }

 private:
  Names list(int depth) {
    Names names;
    while (true) {
      append(names, one(depth));
      if (at_ == text_.size() || text_[at_] != ',') return names;
      ++at_;
    }
  }

  Names one(int depth) {
    if (depth > 0) {
      if (std::optional<Names> numbers = range()) return *numbers;
    }
    return item(depth);
  }

  Names item(int depth) {
    const std::size_t start = at_;
    Names names = {""};
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != ']') {
      const char c = text_[at_];
      if (c == '[') {
        names = combined(names, group(depth + 1));
        continue;
      }
      // A blank or a control character is in no host's name, and would end in a message or a command.
      if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') refuse("a blank");
      for (std::string& name : names) name += c;
      ++at_;
    }
    if (at_ == start) refuse("a name is missing");
    return names;
  }

  Names group(int depth) {
    if (depth > kDeepest) refuse("too many groups in groups");
    ++at_;
    Names names = list(depth);
    if (at_ == text_.size()) refuse("'[' without its ']'");
    ++at_;
    return names;
  }

  // "01-03"; nothing where what stands here is something else.
  std::optional<Names> range() {
    const std::string_view from = digits(at_);
    const std::size_t dash = at_ + from.size();
    if (from.empty() || dash >= text_.size() || text_[dash] != '-') return std::nullopt;
    const std::string_view to = digits(dash + 1);
    const std::size_t end = dash + 1 + to.size();
    if (to.empty() || (end < text_.size() && text_[end] != ',' && text_[end] != ']')) {
      return std::nullopt;
    }
    if (from.size() > kLongest || to.size() > kLongest) refuse("a number that is too long");
    const auto first = *whole_number<std::size_t>(from);
    const auto last = *whole_number<std::size_t>(to);
    if (first > last) refuse("a range that runs backwards");
    if (last - first >= kMostNames) too_many();
    Names names;
    for (std::size_t i = first; i <= last; ++i) {
      names.push_back(fmt::format("{:0{}}", i, from.size()));
    }
    at_ = end;
    return names;
  }

  std::string_view digits(std::size_t from) const {
    std::size_t end = from;
    while (end < text_.size() && is_digit(text_[end])) ++end;
    return text_.substr(from, end - from);
  }

  Names combined(const Names& left, const Names& right) const {
    if (left.size() * right.size() > kMostNames) too_many();
    Names names;
    for (const std::string& a : left) {
      for (const std::string& b : right) names.push_back(a + b);
    }
    return names;
  }

  void append(Names& names, Names more) const {
    if (names.size() + more.size() > kMostNames) too_many();
    std::move(more.begin(), more.end(), std::back_inserter(names));
  }

  [[noreturn]] void refuse(const char* why) const {
    fail(ErrorCode::kInvalidArgument,
         "[launch::expand_host_list] '{}' is no list of hosts as SLURM writes it (as in "
         "node[01-03,7],other): {} at character {}.",
         text_,
         why,
         at_ + 1);
  }

  [[noreturn]] void too_many() const {
    fail(ErrorCode::kInvalidArgument,
         "[launch::expand_host_list] the list of hosts '{}' names more than {}.",
         text_,
         kMostNames);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::string> expand_host_list(std::string_view text) { return HostList(text).all(); }

std::vector<int> expand_counts(std::string_view text) {
  const auto refuse = [text] {
    fail(ErrorCode::kInvalidArgument,
         "[launch::expand_counts] '{}' are no counts as SLURM writes them; expected e.g. 2(x3),1.",
         text);
  };
  std::vector<int> counts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    std::string_view part = text.substr(start, end - start);
    start = end + 1;
    std::optional<std::size_t> times = 1;
    if (const std::size_t open = part.find("(x"); open != std::string_view::npos) {
      if (!part.ends_with(')')) refuse();
      times = whole_number<std::size_t>(part.substr(open + 2, part.size() - open - 3));
      part = part.substr(0, open);
    }
    const std::optional<int> count = whole_number<int>(part);
    if (!count || *count < 1 || !times || *times < 1 || counts.size() + *times > kMostNames)
      refuse();
    counts.insert(counts.end(), *times, *count);
  }
  return counts;
}

}  // namespace detente::launch
