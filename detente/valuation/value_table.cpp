// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/whole_number.h>
#include <detente/report/table.h>
#include <detente/valuation/value_table.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <numeric>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_set>

namespace detente::valuation {
namespace {

constexpr std::string_view kHeader =
    "id,task_trained,task_judged,modality,value,stderr,count,method";
enum Column { kId, kTrained, kJudged, kModality, kValue, kStderr, kCount, kMethod, kColumns };
using Fields = std::array<std::string, kColumns>;
using Key = std::tuple<std::string, std::string, std::string>;

Key key_of(const ValueSeries& series) {
  return {series.task_trained, series.task_judged, series.modality};
}

// ---- Writing.

void add_number(double value, std::string& to) {
  if (std::isnan(value)) return;
  char digits[32];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), value);
  DETENTE_DCHECK(error == std::errc());
  to.append(digits, end);
}

void check(const ValueTable& table) {
  std::unordered_set<std::int64_t> ids;
  for (const std::int64_t id : table.ids) {
    DETENTE_CHECK(id >= 0 && ids.insert(id).second,
                  ErrorCode::kInvalidArgument,
                  "[valuation::to_csv] id {} {}; every example has its own row, from 0",
                  id,
                  id < 0 ? "is negative" : "is there twice");
  }
  std::set<Key> keys;
  const std::size_t n = table.ids.size();
  for (const ValueSeries& one : table.series) {
    const std::string name =
        fmt::format("{} -> {} ({})", one.task_trained, one.task_judged, one.modality);
    DETENTE_CHECK(one.values.size() == n &&
                      (one.standard_errors.empty() || one.standard_errors.size() == n) &&
                      (one.counts.empty() || one.counts.size() == n),
                  ErrorCode::kShape,
                  "[valuation::to_csv] series {} has {} values, {} standard errors and {} counts; "
                  "expected one of each for each of {} ids, or no standard errors or counts",
                  name,
                  one.values.size(),
                  one.standard_errors.size(),
                  one.counts.size(),
                  n);
    DETENTE_CHECK(
        keys.insert(key_of(one)).second,
        ErrorCode::kInvalidArgument,
        "[valuation::to_csv] two series are {}; give them tasks or modalities that differ",
        name);
    const auto negative = std::find_if(
        one.counts.begin(), one.counts.end(), [](std::int64_t count) { return count < 0; });
    DETENTE_CHECK(negative == one.counts.end(),
                  ErrorCode::kInvalidArgument,
                  "[valuation::to_csv] series {} has a count of {}; expected none below 0",
                  name,
                  *negative);
  }
}

// ---- Reading.

// Takes records off the text of a file, which knows where they began for the messages.
class Records {
 public:
  Records(std::string_view name, std::string_view text) : name_(name), text_(text) {}

  bool at_end() const { return at_ == text_.size(); }

  // Into `fields`, whose number is demanded.
  void next(Fields& fields) {
    began_ = line_;
    std::size_t count = 0;
    for (bool more = true; more; ++count) {
      std::string extra;
      more = next_field(count < kColumns ? fields[count] : extra);
    }
    if (count != kColumns) {
      fail_here(fmt::format("has {} fields; expected {} ({})", count, int{kColumns}, kHeader));
    }
  }

  [[noreturn]] void fail_here(const std::string& what) const {
    fail(ErrorCode::kData,
         "[valuation::read_values] {}: line {} {}. Write the table again",
         name_,
         began_,
         what);
  }

 private:
  // Whether another field follows in this record.
  bool next_field(std::string& field) {
    field.clear();
    const bool in_quotes = !at_end() && text_[at_] == '"';
    if (in_quotes) {
      read_quoted(field);
    } else {
      const std::size_t end = std::min(text_.find_first_of(",\n\"", at_), text_.size());
      field = text_.substr(at_, end - at_);
      at_ = end;
    }
    if (at_end()) fail_here("ends in the middle: the file was cut");
    // Some programs end lines in CR LF when they save a table.
    if (in_quotes && text_.substr(at_, 2) == "\r\n") ++at_;
    if (!in_quotes && text_[at_] == '\n' && field.ends_with('\r')) field.pop_back();
    const char after = text_[at_++];
    if (after == '\n') ++line_;
    if (after != ',' && after != '\n') fail_here("has a quotation mark inside a field");
    return after == ',';
  }

  void read_quoted(std::string& field) {
    for (++at_; !at_end(); ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] == '"') {
        ++at_;
        if (at_end() || text_[at_] != '"') return;
      }
      field += text_[at_];
    }
    fail_here("ends within quotation marks: the file was cut");
  }

  std::string_view name_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1;
  std::int64_t began_ = 1;
};

double number(const Records& records, const char* column, const std::string& field) {
  if (field.empty()) return std::numeric_limits<double>::quiet_NaN();
  double value = 0.0;
  const char* const end = field.data() + field.size();
  const auto [rest, error] = std::from_chars(field.data(), end, value);
  if (error != std::errc() || rest != end || std::isnan(value)) {
    records.fail_here(fmt::format("has {} '{}'; expected a number or nothing", column, field));
  }
  return value;
}

std::int64_t whole(const Records& records, const char* column, const std::string& field) {
  const auto value = whole_number<std::int64_t>(field);
  if (!value || *value < 0) {
    records.fail_here(fmt::format("has {} '{}'; expected a whole number from 0", column, field));
  }
  return *value;
}

void check_whole_series(const Records& records, const ValueTable& table) {
  if (table.series.empty() || table.series.back().values.size() == table.ids.size()) return;
  records.fail_here(
      fmt::format("is the last of series {}, which has {} examples of {}: lines are missing",
                  table.series.size(),
                  table.series.back().values.size(),
                  table.ids.size()));
}

void drop_what_says_nothing(ValueSeries& series) {
  const auto& errors = series.standard_errors;
  if (std::all_of(errors.begin(), errors.end(), [](double e) { return std::isnan(e); })) {
    series.standard_errors.clear();
  }
  const auto& counts = series.counts;
  if (std::all_of(counts.begin(), counts.end(), [](std::int64_t c) { return c == 1; })) {
    series.counts.clear();
  }
}

}  // namespace

std::vector<std::int64_t> all_ids(std::int64_t n) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  return ids;
}

const char* name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHelpful:
      return "helpful";
    case Verdict::kHarmful:
      return "harmful";
    case Verdict::kUndecided:
      break;
  }
  return "undecided";
}

Verdict verdict(double value, double standard_error) {
  // Comparisons with NaN are false.
  if (value > 2 * standard_error) return Verdict::kHelpful;
  if (value < -2 * standard_error) return Verdict::kHarmful;
  return Verdict::kUndecided;
}

std::string to_csv(const ValueTable& table) {
  check(table);
  std::string csv(kHeader);
  csv += '\n';
  const std::string method = report::csv_cell(table.method);
  for (const ValueSeries& one : table.series) {
    const std::string names = ',' + report::csv_cell(one.task_trained) + ',' +
                              report::csv_cell(one.task_judged) + ',' +
                              report::csv_cell(one.modality) + ',';
    for (std::size_t i = 0; i < table.ids.size(); ++i) {
      csv += std::to_string(table.ids[i]) + names;
      add_number(one.values[i], csv);
      csv += ',';
      if (!one.standard_errors.empty()) add_number(one.standard_errors[i], csv);
      csv += ',' + std::to_string(one.counts.empty() ? 1 : one.counts[i]) + ',' + method + '\n';
    }
  }
  return csv;
}

ValueTable read_values(const std::string& path) { return parse_values(read_file(path), path); }

ValueTable parse_values(std::string_view text, const std::string& name) {
  Records records(name, text);
  Fields fields;
  records.next(fields);
  if (fmt::format("{}", fmt::join(fields, ",")) != kHeader) {
    records.fail_here(fmt::format("is not '{}': this is no table of values", kHeader));
  }
  ValueTable table;
  std::set<Key> keys;
  std::unordered_set<std::int64_t> ids;
  while (!records.at_end()) {
    const Records before = records;
    records.next(fields);
    const Key key{fields[kTrained], fields[kJudged], fields[kModality]};
    if (table.series.empty() || key != key_of(table.series.back())) {
      check_whole_series(before, table);
      if (!keys.insert(key).second) {
        records.fail_here("goes back to a series that had ended; expected series after series");
      }
      if (table.series.empty()) table.method = fields[kMethod];
      table.series.push_back({fields[kTrained], fields[kJudged], fields[kModality], {}});
    }
    ValueSeries& series = table.series.back();
    const std::int64_t id = whole(records, "id", fields[kId]);
    const std::size_t row = series.values.size();
    if (table.series.size() == 1) {
      if (!ids.insert(id).second) records.fail_here(fmt::format("has id {} a second time", id));
      table.ids.push_back(id);
    } else if (row >= table.ids.size() || table.ids[row] != id) {
      records.fail_here(fmt::format(
          "has id {}; expected {}, as in the first series",
          id,
          row < table.ids.size() ? std::to_string(table.ids[row]) : "the end of the series"));
    }
    series.values.push_back(number(records, "value", fields[kValue]));
    series.standard_errors.push_back(number(records, "stderr", fields[kStderr]));
    series.counts.push_back(whole(records, "count", fields[kCount]));
    if (fields[kMethod] != table.method) {
      records.fail_here(
          fmt::format("has method '{}'; expected '{}'", fields[kMethod], table.method));
    }
  }
  check_whole_series(records, table);
  for (ValueSeries& one : table.series) drop_what_says_nothing(one);
  return table;
}

}  // namespace detente::valuation
