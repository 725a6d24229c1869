// SPDX-License-Identifier: Apache-2.0
// What the words of a target's cells are beside names of classes: steps of a scale, or several words
// in one cell.
#include <detente/core/ascii.h>
#include <detente/data/propose_steps.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

namespace detente::data::internal {
namespace {

constexpr std::size_t kMostLabels = 100;

// Each from its lowest step; words that mean the same step stand beside each other.
constexpr std::array<std::string_view, 13> kScales = {
    "|lowest|very low|low|medium|moderate|middle|mid|average|normal|high|very high|highest|",
    "|tiny|very small|small|medium|large|big|very large|huge|",
    "|xxs|xs|s|m|l|xl|xxl|xxxl|",
    "|none|no|minimal|mild|moderate|severe|very severe|critical|",
    "|never|rarely|seldom|sometimes|occasionally|often|usually|always|",
    "|terrible|very bad|very poor|bad|poor|fair|okay|ok|neutral|average|good|very "
    "good|great|excellent|",
    "|strongly disagree|disagree|somewhat disagree|neutral|neither|somewhat agree|agree|strongly "
    "agree|",
    "|very negative|negative|neutral|positive|very positive|",
    "|very dissatisfied|dissatisfied|neutral|satisfied|very satisfied|",
    "|very unlikely|unlikely|neutral|likely|very likely|",
    "|novice|beginner|intermediate|advanced|expert|",
    "|very easy|easy|medium|moderate|hard|difficult|very hard|very difficult|",
    "|freezing|cold|cool|mild|warm|hot|"};

}  // namespace

std::vector<std::string> words_in_order(const ColumnSurvey& column) {
  if (column.counts.size() < 3) return {};
  for (const std::string_view scale : kScales) {
    std::map<std::size_t, std::string> steps;
    for (const auto& [word, count] : column.counts) {
      std::string step = lower_ascii(word);
      std::replace_if(
          step.begin(), step.end(), [](char c) { return c == '_' || c == '-'; }, ' ');
      const std::size_t at = scale.find("|" + step + "|");
      if (at == std::string_view::npos || !steps.emplace(at, word).second) {
        steps.clear();
        break;
      }
    }
    if (steps.empty()) continue;
    std::vector<std::string> words;
    for (auto& [at, word] : steps) words.push_back(std::move(word));
    return words;
  }
  return {};
}

std::optional<CellLabels> labels_in_cells(const Table& table, const ColumnSurvey& column) {
  if (column.kind != ColumnSurvey::Kind::kWords) return std::nullopt;
  for (const char separator : {'|', ';', ','}) {
    std::set<std::string, std::less<>> labels;
    std::set<std::string_view> cells;
    std::size_t several = 0;
    bool usable = true;
    for (std::size_t row = 0; usable && row < table.rows(); ++row) {
      const std::string_view cell = table.cell(row, column.index);
      if (is_missing(cell)) continue;
      cells.insert(cell);
      if (cell.find(separator) != std::string_view::npos) ++several;
      for (std::size_t begin = 0; begin <= cell.size();) {
        const std::size_t end = std::min(cell.find(separator, begin), cell.size());
        const std::string_view label = trim(cell.substr(begin, end - begin), " \t");
        if (!label.empty()) labels.emplace(label);
        begin = end + 1;
      }
      usable = labels.size() <= kMostLabels;
    }
    // Combinations of few words, not words that happen to hold the character.
    if (usable && several >= 2 && labels.size() >= 2 && labels.size() < cells.size()) {
      return CellLabels{separator, {labels.begin(), labels.end()}};
    }
  }
  return std::nullopt;
}

}  // namespace detente::data::internal
