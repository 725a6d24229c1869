// SPDX-License-Identifier: Apache-2.0
#include <detente/data/slide_source.h>
#include <detente/report/answer_pictures.h>
#include <detente/report/answer_summary.h>
#include <detente/report/looks.h>
#include <detente/train/answer_record.h>
#include <detente/train/picture.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>
#include <variant>

namespace detente::train {
namespace {

std::size_t scatters_of(const Recipe& recipe) {
  std::size_t count = 0;
  for (const TaskRecipe& task : recipe.tasks) {
    if (task.head.kind != TaskKind::kRegression) continue;
    count += std::min(report::kMostScatters, std::max<std::size_t>(1, task.columns.size()));
  }
  return count;
}

// Sides of a picture of a slide, which stands at the upper left of it.
constexpr std::size_t kSlideSide = 192;

report::Pixels on_square(const slides::Picture& picture) {
  report::Pixels square{kSlideSide, kSlideSide, {}};
  square.rgb.assign(3 * kSlideSide * kSlideSide, 255);
  for (std::int64_t y = 0; y < picture.height; ++y) {
    const auto from = picture.values.begin() + 3 * y * picture.width;
    std::copy(from,
              from + 3 * picture.width,
              square.rgb.begin() + 3 * y * static_cast<std::int64_t>(kSlideSide));
  }
  return square;
}

// Of each pixel the value of the tile that lies there, else NaN. `values`: one per row.
std::vector<double> on_tiles(const data::SlideSource::Overview& overview,
                             const std::vector<double>& values) {
  std::vector<double> map(kSlideSide * kSlideSide, std::numeric_limits<double>::quiet_NaN());
  for (const auto& tile : overview.tiles) {
    for (std::size_t y = tile.top; y < tile.bottom; ++y) {
      std::fill(map.begin() + static_cast<std::ptrdiff_t>(y * kSlideSide + tile.left),
                map.begin() + static_cast<std::ptrdiff_t>(y * kSlideSide + tile.right),
                values[tile.row]);
    }
  }
  return map;
}

}  // namespace

AnswerRecord::AnswerRecord(const Recipe& recipe,
                           const data::Source& fitted,
                           const data::Source& rows)
    : recipe_(recipe), fitted_(fitted), rows_(rows) {
  std::vector<std::vector<bool>> has;
  for (const TaskRecipe& task : recipe_.tasks) {
    if (!is_map(task.head.kind)) continue;
    std::vector<bool>& known = has.emplace_back();
    for (const double pixels : rows_.target(task.name).values) known.push_back(!std::isnan(pixels));
  }
  shown_ = report::shown_rows(has);
}

MapSink AnswerRecord::sink() {
  if (shown_.empty()) return {};
  return [this](std::size_t task, std::span<const std::size_t> rows, const Matrix& maps) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!std::binary_search(shown_.begin(), shown_.end(), rows[i])) continue;
      const double* map = maps.data() + i * maps.cols();
      maps_[{task, rows[i]}].assign(map, map + maps.cols());
    }
  };
}

std::vector<std::string> AnswerRecord::names_of(const TaskRecipe& task) const {
  if (!task.answer_names().empty()) return task.answer_names();
  if (task.head.kind == TaskKind::kBinary && !task.threshold.empty()) {
    return {"< " + task.threshold, "≥ " + task.threshold};
  }
  return fitted_.class_names(task.column);
}

report::RunAnswers AnswerRecord::answers(std::int64_t epoch,
                                         const std::vector<TaskPredictions>& predictions) const {
  report::RunAnswers out;
  out.epoch = epoch;
  out.rows = rows_.size();
  out.all_tasks = recipe_.tasks.size();
  const std::size_t points = report::points_of_each(scatters_of(recipe_));
  for (std::size_t k = 0; k < std::min(recipe_.tasks.size(), report::kMostAnswerTasks); ++k) {
    const TaskRecipe& task = recipe_.tasks[k];
    const data::Target& target = rows_.target(task.name);
    if (!is_map(task.head.kind)) {
      out.tasks.push_back(report::summarize(task.name,
                                            task.head.kind,
                                            answers_of(task, predictions[k], target),
                                            names_of(task),
                                            points));
      continue;
    }
    report::TaskAnswers& own = out.tasks.emplace_back();
    own.task = report::short_name(task.name);
    own.kind = task.head.kind;
    own.rows = target.rows() - target.missing;
    if (const auto counts = predictions[k].tally->confusion(); !counts.empty()) {
      own.confusion = report::pixel_confusion(counts, names_of(task));
    }
  }
  if (!shown_.empty()) add_maps(out);
  if (const auto* slides = dynamic_cast<const data::SlideSource*>(&rows_)) {
    add_slides(out, *slides, predictions);
  }
  return out;
}

void AnswerRecord::add_slides(report::RunAnswers& answers,
                              const data::SlideSource& slides,
                              const std::vector<TaskPredictions>& predictions) const {
  std::vector<report::MapExamples> maps;
  for (std::size_t k = 0; k < answers.tasks.size(); ++k) {
    if (is_map(answers.tasks[k].kind) || rows_.target(recipe_.tasks[k].name).columns > 1) continue;
    maps.push_back({k, kSlideSide, kSlideSide, {}, names_of(recipe_.tasks[k])});
  }
  std::vector<report::ShownInput> inputs;
  for (const std::size_t slide : report::evenly_chosen(slides.slides(), report::kMostExamples)) {
    const auto overview = slides.overview(slide, kSlideSide);
    if (!overview) continue;
    const report::Pixels under = on_square(overview->picture);
    inputs.push_back({overview->tiles.front().row + 1,
                      under,
                      std::filesystem::path(slides.file(slide)).filename().string()});
    for (report::MapExamples& task : maps) {
      const auto& truth = rows_.target(recipe_.tasks[task.task].name).values;
      task.examples.push_back(
          {on_tiles(*overview, truth), on_tiles(*overview, predictions[task.task].values), under});
    }
  }
  report::add_pictures(answers, inputs, maps);
}

void AnswerRecord::add_maps(report::RunAnswers& answers) const {
  const auto [height, width] = rows_.map_size();
  std::vector<report::MapExamples> maps;
  for (std::size_t k = 0; k < answers.tasks.size(); ++k) {
    if (!is_map(answers.tasks[k].kind)) continue;
    maps.push_back({k, height, width, {}, names_of(recipe_.tasks[k])});
  }
  std::vector<report::ShownInput> inputs;
  for (const std::size_t row : shown_) {
    inputs.push_back({row + 1, pixels_of(rows_.picture(row))});
    const std::size_t one[] = {row};
    const data::Batch targets = rows_.target_batch(one);
    for (report::MapExamples& task : maps) {
      const auto& truth = std::get<std::vector<float>>(targets[task.task].values);
      task.examples.push_back({{truth.begin(), truth.end()}, maps_.at({task.task, row})});
    }
  }
  report::add_pictures(answers, inputs, maps);
}

}  // namespace detente::train
