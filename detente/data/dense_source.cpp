// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>
#include <detente/data/dense_source.h>
#include <detente/data/dense_targets.h>
#include <detente/data/image_rows.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kDenseFormat = "detente-dense-1";
constexpr const char* kPresencePrefix = "has_";
constexpr double kLongestDenseSide = 32768;

std::filesystem::path dense_file(const std::filesystem::path& run) { return run / "dense.json"; }

template <class T>
std::span<const T> plane_of(const std::vector<T>& values, std::size_t row, std::size_t size) {
  return std::span(values).subspan(row * size, size);
}

DenseChange unchanged(const DenseShape& shape) {
  return {.height = shape.height, .width = shape.width};
}

}  // namespace

void DenseSource::describe(FieldVisitor& data) {
  data.file("class_file",
            class_file_,
            "The classes' names by id, a name a line (.txt), for columns has_<class>.");
  data.text("label_folder", label_folder_, "Folders: where the class ids are (label_7, ...).");
  data.choice(
      "scale",
      scale_,
      {{"standard", Scale::kStandard}, {"stored", Scale::kStored}},
      "What the network sees of an image: standard: deviations from the mean of the training "
      "images' channel; stored: the file's values, as published code has it.");
  data.choice(
      "depth",
      depth_,
      {{"any", Depth::kAny}, {"distance", Depth::kDistance}, {"inverse", Depth::kInverse}},
      "What depth maps hold: distances, or inverse ones (disparities). `detente data check` "
      "says when they look otherwise; training does not ask.");
  data.integer(
      "memory",
      memory_,
      {.min = 1, .max = 1e9},
      "MiB that a part's images and maps may take, four bytes a number; more is an error.");
  data.section("augment",
               "Random changes of training images and their maps.",
               [this](FieldVisitor& section) { augmentation_.describe(section); });
}

void DenseSource::resolve_paths(const std::filesystem::path& folder) {
  if (!class_file_.empty()) class_file_ = absolute_path(class_file_, folder);
}

std::unique_ptr<Source> DenseSource::fresh() const {
  auto source = std::make_unique<DenseSource>();
  source->class_file_ = class_file_;
  source->label_folder_ = label_folder_;
  source->scale_ = scale_;
  source->depth_ = depth_;
  source->memory_ = memory_;
  source->augmentation_ = augmentation_;
  return source;
}

DenseSource::Wanted DenseSource::wanted(const TargetColumn& target) const {
  const auto as = [&](Form form, TaskKind kind, std::int16_t id = 0) {
    DETENTE_CHECK(
        target.kind == kind,
        ErrorCode::kInvalidArgument,
        "[data::DenseSource] task '{}' is a {} task, but its column '{}' is for {} tasks; "
        "set its head to {}.",
        target.task,
        name_of(target.kind),
        target.column,
        name_of(kind),
        name_of(kind));
    return Wanted{form, id};
  };
  if (target.column == "label") return as(Form::kLabel, TaskKind::kSegmentation);
  if (target.column == "depth") return as(Form::kDepth, TaskKind::kDepth);
  if (target.column == "normal") return as(Form::kNormal, TaskKind::kNormals);
  if (target.column == "edges") {
    DETENTE_CHECK(target.kind != TaskKind::kSegmentation || target.classes == 2,
                  ErrorCode::kInvalidArgument,
                  "[data::DenseSource] task '{}' has {} classes; edges are 2: set classes to 2.",
                  target.task,
                  target.classes);
    return as(Form::kEdges, TaskKind::kSegmentation);
  }
  if (target.column.starts_with(kPresencePrefix)) {
    const std::string name = target.column.substr(std::string(kPresencePrefix).size());
    const auto found = std::find(fit_.classes.begin(), fit_.classes.end(), name);
    if (found != fit_.classes.end()) {
      return as(Form::kPresence,
                TaskKind::kBinary,
                static_cast<std::int16_t>(found - fit_.classes.begin()));
    }
    const auto id = whole_number<std::int16_t>(name);
    if (id && *id >= 0) return as(Form::kPresence, TaskKind::kBinary, *id);
    fail(ErrorCode::kInvalidArgument,
         "[data::DenseSource] column '{}' of task '{}' names no class; {}",
         target.column,
         target.task,
         fit_.classes.empty() ? "expected has_<id>, or names in data.class_file."
                              : expected_one_of(name, fit_.classes));
  }
  const std::vector<std::string> names = {"label", "edges", "depth", "normal", "has_<class>"};
  fail(ErrorCode::kInvalidArgument,
       "[data::DenseSource] task '{}' wants column '{}', which dense data do not have; {}",
       target.task,
       target.column,
       expected_one_of(target.column, names));
}

std::vector<std::int16_t> DenseSource::presence_classes(
    std::span<const TargetColumn> targets) const {
  DenseSource named;
  if (!class_file_.empty()) named.fit_.classes = read_class_file(class_file_).names();
  std::vector<std::int16_t> ids;
  for (const TargetColumn& target : targets) {
    const Wanted one = named.wanted(target);
    ids.push_back(one.form == Form::kPresence ? one.class_id : DenseMaps::kNoClass);
  }
  return ids;
}

void DenseSource::read_rows(const SourceInput& input, const Source* fitted) {
  fit_ = fitted == nullptr ? Fit{} : dynamic_cast<const DenseSource&>(*fitted).fit_;
  if (fitted == nullptr && !class_file_.empty())
    fit_.classes = read_class_file(class_file_).names();
  wanted_.clear();
  for (const TargetColumn& target : input.targets) wanted_.push_back(wanted(target));
  const auto wants = [&](std::initializer_list<Form> forms) {
    return std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& one) {
      return std::find(forms.begin(), forms.end(), one.form) != forms.end();
    });
  };
  DenseWish wish;
  wish.label = wants({Form::kLabel, Form::kEdges, Form::kPresence});
  wish.depth = wants({Form::kDepth});
  wish.normal = wants({Form::kNormal});
  wish.label_folder = label_folder_;
  wish.memory = memory();
  file_ = input.files.file(input.part);
  std::error_code error;
  const bool folder = std::filesystem::is_directory(file_, error);
  const RowList rows = input.files.chosen_rows(input.part, count_dense(file_, folder));
  take_places(file_, rows);
  maps_ = read_dense(file_, rows, wish);
  costs_.assign(maps_.count, 1);
  if (fitted == nullptr) {
    fit_.shape = maps_.shape;
    fit_scale();
  }
  DETENTE_CHECK(
      maps_.shape == fit_.shape,
      ErrorCode::kData,
      "[data::DenseSource] '{}' has images of {} x {} pixels and {} channels; those of the "
      "training have {} x {} and {}. Expected the same.",
      file_,
      maps_.shape.height,
      maps_.shape.width,
      maps_.shape.channels,
      fit_.shape.height,
      fit_.shape.width,
      fit_.shape.channels);
  for (std::size_t k = 0; k < input.targets.size(); ++k) {
    if (wanted_[k].form == Form::kLabel) check_labels(input.targets[k]);
    targets_.push_back(read_dense_target(input.targets[k], wanted_[k]));
  }
}

void DenseSource::fit_scale() {
  fit_.means.assign(fit_.shape.channels, 0);
  fit_.deviations.assign(fit_.shape.channels, 1);
  if (scale_ == Scale::kStored) return;
  const std::size_t pixels = fit_.shape.pixels();
  const auto count = static_cast<double>(maps_.count * pixels);
  for (std::size_t c = 0; c < fit_.shape.channels; ++c) {
    const auto sum = [&](const auto& term) {
      double total = 0;
      for (std::size_t row = 0; row < maps_.count; ++row) {
        const float* plane = maps_.image.data() + (row * fit_.shape.channels + c) * pixels;
        for (std::size_t p = 0; p < pixels; ++p) total += term(static_cast<double>(plane[p]));
      }
      return total;
    };
    const double mean = sum([](double value) { return value; }) / count;
    const double variance =
        sum([mean](double value) { return (value - mean) * (value - mean); }) / count;
    fit_.means[c] = mean;
    if (variance > 0) {
      fit_.deviations[c] = std::sqrt(variance);
    } else {
      warnings_.push_back(fmt::format(
          "Channel {} (from 0) of every image of '{}' is {} everywhere; there is nothing to see.",
          c,
          file_,
          number_text(mean)));
    }
  }
}

void DenseSource::check_labels(const TargetColumn& column) const {
  const auto found = std::find_if(maps_.label.begin(), maps_.label.end(), [&](std::int16_t id) {
    return id >= column.classes;
  });
  if (found == maps_.label.end()) return;
  const auto at = static_cast<std::size_t>(found - maps_.label.begin());
  const std::size_t pixel = at % fit_.shape.pixels();
  fail(ErrorCode::kData,
       "[data::DenseSource] example {} of '{}' has class {} in row {}, column {} (from 0); task "
       "'{}' "
       "has {} classes: expected ids from 0 to {}. Set its 'classes' or mend the file.",
       maps_.names[at / fit_.shape.pixels()],
       file_,
       *found,
       pixel / fit_.shape.width,
       pixel % fit_.shape.width,
       column.task,
       column.classes,
       column.classes - 1);
}

std::vector<float> DenseSource::target_map(const Wanted& wanted,
                                           std::size_t row,
                                           const DenseChange& change) const {
  const DenseShape& shape = fit_.shape;
  const std::size_t pixels = shape.pixels();
  switch (wanted.form) {
    case Form::kDepth: {
      std::vector<float> out = changed_depth(plane_of(maps_.depth, row, pixels), shape, change);
      std::replace(out.begin(), out.end(), 0.0F, kNoTarget);
      return out;
    }
    case Form::kNormal: {
      std::vector<float> out =
          changed_normals(plane_of(maps_.normal, row, 3 * pixels), shape, change);
      hide_missing_normals(out, pixels);
      return out;
    }
    case Form::kLabel:
    case Form::kEdges:
    case Form::kPresence:
      break;
  }
  const std::vector<std::int16_t> label =
      changed_label(plane_of(maps_.label, row, pixels), shape, change);
  if (wanted.form == Form::kEdges) return edges_of(label, shape);
  if (wanted.form == Form::kLabel) return labels_as_floats(label);
  return {presence(label, wanted.class_id)};
}

Target DenseSource::read_dense_target(const TargetColumn& column, const Wanted& wanted) {
  Target target{column.task, column.kind, {}, 0};
  const std::size_t pixels = fit_.shape.pixels();
  MapSummary summary;
  summary.height = fit_.shape.height;
  summary.width = fit_.shape.width;
  summary.channels = column.kind == TaskKind::kNormals ? 3 : 1;
  if (column.kind == TaskKind::kSegmentation) {
    summary.counts.assign(static_cast<std::size_t>(column.classes), 0);
  } else {
    summary.means.assign(summary.channels, 0);
  }
  for (std::size_t row = 0; row < maps_.count; ++row) {
    const std::vector<float> map = target_map(wanted, row, unchanged(fit_.shape));
    if (wanted.form == Form::kPresence) {
      target.values.push_back(map[0]);
      if (std::isnan(map[0])) ++target.missing;
      continue;
    }
    std::size_t found = 0;
    for (std::size_t p = 0; p < pixels; ++p) {
      if (std::isnan(map[p])) continue;
      ++found;
      if (column.kind == TaskKind::kSegmentation) {
        ++summary.counts[static_cast<std::size_t>(map[p])];
      } else {
        for (std::size_t c = 0; c < summary.channels; ++c) {
          summary.means[c] += static_cast<double>(map[c * pixels + p]);
        }
      }
    }
    summary.pixels += found;
    if (found == 0) ++target.missing;
    target.values.push_back(found == 0 ? std::nan("") : static_cast<double>(found));
  }
  if (target.missing == maps_.count) {
    tell_lacking(column,
                 file_,
                 fmt::format("every pixel of all {} examples", maps_.count),
                 "at least one",
                 warnings_);
  }
  if (wanted.form == Form::kPresence) return target;
  for (double& mean : summary.means)
    mean /= static_cast<double>(std::max<std::size_t>(1, summary.pixels));
  target.map = std::move(summary);
  return target;
}

Batch DenseSource::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  const DenseShape& shape = fit_.shape;
  const bool changed = augment != nullptr && augmentation_.any();
  const std::size_t size = shape.channels * shape.pixels();
  std::vector<float> values;
  values.reserve(rows.size() * size);
  for (const std::size_t row : rows) {
    const auto image = plane_of(maps_.image, row, size);
    if (changed) {
      Rng own = augment->fork(row);
      const auto out = changed_image(image, shape, augmentation_.draw(shape, own));
      values.insert(values.end(), out.begin(), out.end());
    } else {
      values.insert(values.end(), image.begin(), image.end());
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t c = i / shape.pixels() % shape.channels;
    values[i] =
        static_cast<float>((static_cast<double>(values[i]) - fit_.means[c]) / fit_.deviations[c]);
  }
  Batch batch;
  batch.push_back(
      {"image", {rows.size(), shape.channels, shape.height, shape.width}, std::move(values)});
  return batch;
}

Batch DenseSource::target_batch(std::span<const std::size_t> rows, const Rng* augment) const {
  const DenseShape& shape = fit_.shape;
  std::vector<DenseChange> changes(rows.size(), unchanged(shape));
  if (augment != nullptr && augmentation_.any()) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Rng own = augment->fork(rows[i]);
      changes[i] = augmentation_.draw(shape, own);
    }
  }
  Batch batch;
  for (std::size_t k = 0; k < targets_.size(); ++k) {
    std::vector<float> values;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::vector<float> map = target_map(wanted_[k], rows[i], changes[i]);
      values.insert(values.end(), map.begin(), map.end());
    }
    if (wanted_[k].form == Form::kPresence) {
      batch.push_back(
          {targets_[k].task, {rows.size()}, std::vector<double>(values.begin(), values.end())});
      continue;
    }
    std::vector<std::size_t> sides = {rows.size(), shape.height, shape.width};
    if (targets_[k].map->channels > 1) sides.insert(sides.begin() + 1, targets_[k].map->channels);
    batch.push_back({targets_[k].task, std::move(sides), std::move(values)});
  }
  return batch;
}

Image DenseSource::picture(std::size_t row) const {
  const DenseShape& shape = fit_.shape;
  const std::size_t pixels = shape.pixels();
  const auto values = plane_of(maps_.image, row, shape.channels * pixels);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  float low = 0;
  float high = *most <= 1 ? 1 : 255;
  if (*least < 0 || *most > 255) {
    low = *least;
    high = *most > *least ? *most : *least + 1;
  }
  Image image{{shape.height, shape.width, shape.channels}, {}};
  image.values.reserve(values.size());
  for (std::size_t p = 0; p < pixels; ++p) {
    for (std::size_t c = 0; c < shape.channels; ++c) {
      const float share = (values[c * pixels + p] - low) / (high - low);
      image.values.push_back(
          static_cast<std::uint8_t>(std::lround(255 * std::clamp(share, 0.0F, 1.0F))));
    }
  }
  return image;
}

// The maps themselves: no batch of them has to fit beside them.
std::string DenseSource::digest() const {
  std::uint32_t crc = crc32c(fmt::format(
      "{} {} {} {}", maps_.count, fit_.shape.channels, fit_.shape.height, fit_.shape.width));
  const auto take = [&crc](const auto& values) {
    using Value = typename std::decay_t<decltype(values)>::value_type;
    crc =
        crc32c({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value)}, crc);
  };
  take(maps_.image);
  take(fit_.means);
  take(fit_.deviations);
  for (std::size_t k = 0; k < targets_.size(); ++k) {
    crc = crc32c(targets_[k].task, crc);
    crc =
        crc32c(fmt::format(" {} {}", static_cast<int>(wanted_[k].form), wanted_[k].class_id), crc);
    switch (wanted_[k].form) {
      case Form::kDepth:
        take(maps_.depth);
        break;
      case Form::kNormal:
        take(maps_.normal);
        break;
      case Form::kLabel:
      case Form::kEdges:
      case Form::kPresence:
        take(maps_.label);
        break;
    }
  }
  return "crc32c:" + crc32c_text(crc);
}

void DenseSource::save(const std::filesystem::path& run) const {
  const Json json{{"format", kDenseFormat},
                  {"height", fit_.shape.height},
                  {"width", fit_.shape.width},
                  {"channels", fit_.shape.channels},
                  {"means", fit_.means},
                  {"deviations", fit_.deviations},
                  {"classes", fit_.classes}};
  write_own_file(dense_file(run), json.dump(1) + "\n");
}

void DenseSource::load(const std::filesystem::path& run) {
  const std::string path = dense_file(run).string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  Fit fit;
  const auto whole = [&](const char* key, double most) -> std::size_t {
    if (!json.contains(key) || !json[key].is_number_unsigned()) return 0;
    const auto value = json[key].get<std::uint64_t>();
    return static_cast<double>(value) <= most ? static_cast<std::size_t>(value) : 0;
  };
  const auto numbers = [&](const char* key, double least, std::vector<double>& list) {
    if (!json.contains(key) || !json[key].is_array()) return false;
    for (const Json& entry : json[key]) {
      if (!entry.is_number()) return false;
      list.push_back(entry.get<double>());
    }
    return list.size() == fit.shape.channels &&
           std::all_of(list.begin(), list.end(), [least](double value) {
             return value >= least && std::isfinite(value);
           });
  };
  bool good = json.is_object() && json.value("format", Json()) == kDenseFormat &&
              json.contains("classes") && json["classes"].is_array();
  if (good) {
    fit.shape = {whole("channels", 3),
                 whole("height", kLongestDenseSide),
                 whole("width", kLongestDenseSide)};
    constexpr double kAny = std::numeric_limits<double>::lowest();
    good = fit.shape.channels * fit.shape.pixels() > 0 && fit.shape.channels != 2 &&
           numbers("means", kAny, fit.means) && numbers("deviations", 1e-300, fit.deviations);
    for (const Json& name : json["classes"]) {
      good = good && name.is_string();
      if (good) fit.classes.push_back(name.get<std::string>());
    }
  }
  DETENTE_CHECK(good,
                ErrorCode::kData,
                "[data::DenseSource] '{}' is damaged or of another version; expected {} with size, "
                "channels, means, deviations and classes.",
                path,
                kDenseFormat);
  fit_ = std::move(fit);
}

std::vector<ShownColumn> DenseSource::shown() const { return {{"example", maps_.names}}; }

}  // namespace detente::data
