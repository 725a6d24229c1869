// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/value_examples.h>
#include <detente/core/error.h>
#include <detente/report/pixels.h>
#include <detente/text/unicode.h>
#include <detente/train/picture.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::cli {
namespace {

std::string shortened(std::string_view text) {
  if (text.size() <= kLongestText) return std::string(text);
  return std::string(text::whole_letters(text, kLongestText)) + "…";
}

std::string picture_of(const data::Source& train, std::size_t row) {
  const report::Pixels whole = train::pixels_of(train.picture(row));
  const std::size_t longest = std::max(whole.height, whole.width);
  if (whole.height == 0 || whole.width == 0) return "";
  if (longest <= kLongestPicture) return report::base64(report::png_bytes(whole));
  const auto side = [&](std::size_t length) {
    return std::max<std::size_t>(1, length * kLongestPicture / longest);
  };
  return report::base64(report::png_bytes(shrunk(whole, side(whole.height), side(whole.width))));
}

const data::TargetColumn* column_of(std::span<const data::TargetColumn> tasks,
                                    const std::string& task) {
  for (const data::TargetColumn& column : tasks) {
    if (column.task == task) return &column;
  }
  return nullptr;
}

std::vector<std::string> class_names(const data::Source& train, const data::TargetColumn* column) {
  if (column == nullptr) return {};
  if (!column->class_names.empty()) return column->class_names;
  return column->column.empty() ? column->columns : train.class_names(column->column);
}

// Of one row of a target; "" where nothing is known of it.
std::string label_text(const data::Target& target,
                       std::size_t row,
                       const std::vector<std::string>& names) {
  std::string text;
  bool known = false;
  for (std::size_t c = 0; c < target.columns; ++c) {
    const double value = target.values[row * target.columns + c];
    if (std::isnan(value)) continue;
    known = true;
    const bool labels = target.kind == TaskKind::kLabels;
    if (labels && value == 0) continue;
    const double id = labels ? static_cast<double>(c) : value;
    const bool is_id = labels || has_classes(target.kind) || target.kind == TaskKind::kBinary;
    const bool named = is_id && id >= 0 && id < static_cast<double>(names.size());
    text += (text.empty() ? "" : ", ") +
            (named ? names[static_cast<std::size_t>(id)] : fmt::format("{}", id));
  }
  return known && text.empty() ? "(none)" : text;
}

}  // namespace

std::vector<valuation::TaskLabels> given_labels(const data::Source& train,
                                                std::span<const data::TargetColumn> tasks) {
  std::vector<valuation::TaskLabels> out;
  for (const data::Target& target : train.targets()) {
    if (is_map(target.kind)) continue;
    const std::vector<std::string> names = class_names(train, column_of(tasks, target.task));
    valuation::TaskLabels labels{target.task, {}};
    labels.are_classes = target.kind != TaskKind::kRegression;
    for (std::size_t row = 0; row < train.size(); ++row) {
      labels.given.push_back(label_text(target, row, names));
    }
    out.push_back(std::move(labels));
  }
  return out;
}

std::vector<std::string> value_sources(const data::Source& train) {
  std::vector<std::string> out;
  for (const std::uint32_t origin : train.origins()) {
    out.push_back(train.origin_names()[origin]);
  }
  return out;
}

void demand_rows(const data::Source& train, std::span<const std::int64_t> ids) {
  for (const std::int64_t id : ids) {
    DETENTE_CHECK(id >= 0 && static_cast<std::size_t>(id) < train.size(),
                  ErrorCode::kInvalidArgument,
                  "[cli::value] there is no training example {}; expected 0 to {}. The values are "
                  "of other data than the recipe's.",
                  id,
                  static_cast<std::int64_t>(train.size()) - 1);
  }
}

ValueExamples::ValueExamples(const data::Source& train, std::span<const data::TargetColumn> tasks)
    : train_(train), columns_(train.shown()), labels_(given_labels(train, tasks)) {}

valuation::ShownExample ValueExamples::operator()(std::int64_t id) const {
  demand_rows(train_, std::vector<std::int64_t>{id});
  const auto row = static_cast<std::size_t>(id);
  const data::RowPlace place = train_.place(row);
  valuation::ShownExample shown;
  shown.file = std::filesystem::path(place.file).filename().string();
  shown.row = static_cast<std::int64_t>(place.row);
  if (place.line > 0) shown.line = static_cast<std::int64_t>(place.line);
  shown.png = picture_of(train_, row);
  std::string silence;
  try {
    if (const auto sound = train_.sound(row)) {
      const auto most = static_cast<std::size_t>(kLongestSound * static_cast<double>(sound->rate));
      shown.wav = report::base64(data::wav_bytes(*sound, most));
    }
  } catch (const Error& error) {
    silence = error.what();
  }
  for (const data::ShownColumn& column : columns_) {
    if (shown.cells.size() == kMostCells) break;
    shown.cells.emplace_back(column.name, shortened(column.cells[row]));
  }
  for (const valuation::TaskLabels& labels : labels_) {
    if (labels.given[row].empty()) continue;
    shown.cells.emplace_back("given for " + labels.task, shortened(labels.given[row]));
  }
  if (!silence.empty()) shown.cells.emplace_back("recording", silence);
  return shown;
}

}  // namespace detente::cli
