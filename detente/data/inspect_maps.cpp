// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/core/suggest.h>
#include <detente/data/dense_targets.h>
#include <detente/data/inspect_steps.h>
#include <detente/data/map_files.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace detente::data::internal {
namespace {

constexpr double kLengthOff = 0.05;    // of a normal's length
constexpr double kManyOff = 0.01;      // share of normals
constexpr double kAsDistances = 0.95;  // lower third to upper third
constexpr double kAsInverse = 1.05;
constexpr std::int16_t kUsualNone = 255;  // "no class" in files of 8 bits

enum class Column { kLabel, kDepth, kNormal };

Column column_of(const TargetColumn& target) {
  if (target.column == "depth") return Column::kDepth;
  return target.column == "normal" ? Column::kNormal : Column::kLabel;
}

DenseWish wish_of(const DenseSource& source, std::span<const TargetColumn> targets) {
  const auto wanted = [&](Column column) {
    return std::any_of(targets.begin(), targets.end(), [column](const TargetColumn& target) {
      return column_of(target) == column;
    });
  };
  return {.label = wanted(Column::kLabel),
          .depth = wanted(Column::kDepth),
          .normal = wanted(Column::kNormal),
          .label_folder = source.label_folder(),
          .memory = source.memory()};
}

// Looks at one part.
class MapLook {
 public:
  MapLook(const DenseSource& source,
          const SourceFiles& files,
          Part part,
          std::span<const TargetColumn> targets,
          DataFindings& findings)
      : source_(source),
        part_(part),
        targets_(targets),
        class_ids_(source.presence_classes(targets)),
        findings_(findings),
        files_(files.file(part), wish_of(source, targets)),
        rows_(files.chosen_rows(part, files_.count())) {
    findings.parts.push_back({part, files.file(part), rows_.size()});
    for (std::size_t k = 0; k < targets.size(); ++k) {
      MapPartFindings& found = findings.maps[k].parts.emplace_back();
      if (targets[k].kind == TaskKind::kSegmentation) {
        found.counts.assign(static_cast<std::size_t>(targets[k].classes), 0);
      } else if (targets[k].kind == TaskKind::kBinary) {
        found.counts.assign(2, 0);
      }
      found.min = std::numeric_limits<double>::infinity();
      found.max = -found.min;
    }
    sums_.resize(targets.size());
  }

  // `shape`: of the first image of all parts, then known to the next.
  void look(std::optional<DenseShape>& shape, std::set<std::uint32_t>& seen_before) {
    for (const std::string& text : files_.complaints_of_names()) warn(text);
    for (const std::size_t row : rows_) take(files_.read(row), row, shape);
    finish(seen_before);
  }

 private:
  struct Sum {
    double all = 0;
    double upper = 0, uppers = 0;
    double lower = 0, lowers = 0;
  };

  void warn(const std::string& text) {
    findings_.warnings.push_back({"maps", fmt::format("{}: {}", name_of(part_), text)});
  }

  void take(const MapExample& maps, std::size_t row, std::optional<DenseShape>& shape) {
    if (maps.image.empty()) return;
    if (!shape) shape = maps.shape;
    if (maps.shape != *shape) {
      if (other_shape_.empty()) {
        shapes_ = fmt::format("{} x {} x {} in place of {} x {} x {}",
                              maps.shape.height,
                              maps.shape.width,
                              maps.shape.channels,
                              shape->height,
                              shape->width,
                              shape->channels);
      }
      other_shape_.push_back(row);
    }
    const std::string_view bytes(reinterpret_cast<const char*>(maps.image.data()),
                                 maps.image.size() * sizeof(float));
    const std::uint32_t sum = crc32c(bytes);
    repeated_ += images_.insert(sum).second ? 0 : 1;
    for (std::size_t k = 0; k < targets_.size(); ++k) {
      switch (column_of(targets_[k])) {
        case Column::kLabel:
          if (!maps.label.empty()) take_label(k, maps, row);
          break;
        case Column::kDepth:
          if (!maps.depth.empty()) take_depth(k, maps);
          break;
        case Column::kNormal:
          if (!maps.normal.empty()) take_normal(k, maps);
          break;
      }
    }
  }

  MapPartFindings& found(std::size_t k) { return findings_.maps[k].parts.back(); }

  void take_label(std::size_t k, const MapExample& maps, std::size_t row) {
    MapPartFindings& to = found(k);
    ++to.examples;
    to.all_pixels += maps.label.size();
    const auto none = static_cast<std::size_t>(
        std::count(maps.label.begin(), maps.label.end(), DenseMaps::kNoClass));
    to.pixels += maps.label.size() - none;
    if (none == maps.label.size()) {
      ++to.without;
      return;
    }
    if (targets_[k].kind == TaskKind::kBinary) {
      const std::int16_t id = class_ids_[k];
      ++to.counts[std::count(maps.label.begin(), maps.label.end(), id) > 0 ? 1 : 0];
      return;
    }
    if (targets_[k].column != "label") {
      for (const float edge : edges_of(maps.label, maps.shape)) {
        if (!std::isnan(edge)) ++to.counts[edge > 0 ? 1 : 0];
      }
      return;
    }
    std::int16_t largest = 0;
    for (const std::int16_t id : maps.label) {
      if (id == DenseMaps::kNoClass) continue;
      largest = std::max(largest, id);
      if (static_cast<std::size_t>(id) < to.counts.size())
        ++to.counts[static_cast<std::size_t>(id)];
    }
    if (static_cast<std::size_t>(largest) < to.counts.size()) return;
    beyond_[k].first.push_back(row);
    beyond_[k].second = std::max(beyond_[k].second, largest);
  }

  void take_depth(std::size_t k, const MapExample& maps) {
    MapPartFindings& to = found(k);
    const std::size_t pixels = maps.shape.pixels();
    const std::size_t third = maps.shape.height / 3 * maps.shape.width;
    std::size_t here = 0;
    for (std::size_t p = 0; p < pixels; ++p) {
      const auto value = static_cast<double>(maps.depth[p]);
      if (value == 0) continue;
      ++here;
      sums_[k].all += value;
      to.min = std::min(to.min, value);
      to.max = std::max(to.max, value);
      if (p < third) {
        sums_[k].upper += value;
        ++sums_[k].uppers;
      } else if (p >= pixels - third) {
        sums_[k].lower += value;
        ++sums_[k].lowers;
      }
    }
    count(to, here, pixels);
  }

  void take_normal(std::size_t k, const MapExample& maps) {
    MapPartFindings& to = found(k);
    const std::size_t pixels = maps.shape.pixels();
    std::size_t here = 0;
    for (std::size_t p = 0; p < pixels; ++p) {
      const double length = std::hypot(static_cast<double>(maps.normal[p]),
                                       static_cast<double>(maps.normal[pixels + p]),
                                       static_cast<double>(maps.normal[2 * pixels + p]));
      if (length == 0) continue;
      ++here;
      sums_[k].all += length;
      to.min = std::min(to.min, length);
      to.max = std::max(to.max, length);
      if (std::abs(length - 1) > kLengthOff) ++to.other_length;
    }
    count(to, here, pixels);
  }

  static void count(MapPartFindings& to, std::size_t here, std::size_t pixels) {
    ++to.examples;
    to.pixels += here;
    to.all_pixels += pixels;
    if (here == 0) ++to.without;
  }

  void finish(std::set<std::uint32_t>& seen_before) {
    for (const std::string& text : files_.complaints()) warn(text);
    if (!other_shape_.empty()) {
      warn(fmt::format("images of another size than the first: {}, the first of them {}.",
                       files_.text(other_shape_),
                       shapes_));
    }
    for (const auto& [k, beyond] : beyond_) warn_of_classes(targets_[k], beyond);
    for (std::size_t k = 0; k < targets_.size(); ++k) finish_task(k);
    findings_.duplicates.within.push_back(repeated_);
    if (repeated_ > 0) {
      findings_.warnings.push_back({"duplicates",
                                    fmt::format("{}: {} repeat an earlier one.",
                                                name_of(part_),
                                                count_text(repeated_, rows_.size(), "images"))});
    }
    std::size_t known = 0;
    for (const std::uint32_t sum : images_) known += seen_before.count(sum);
    if (known > 0) {
      (part_ == Part::kDev ? findings_.duplicates.dev_in_train
                           : findings_.duplicates.test_in_train) = known;
      findings_.warnings.push_back(
          {"duplicates",
           fmt::format(
               "{}: {} are also among the images of an earlier part: what is measured there "
               "was learned by heart.",
               name_of(part_),
               count_text(known, rows_.size(), "images"))});
    }
    seen_before.insert(images_.begin(), images_.end());
  }

  using Beyond = std::pair<std::vector<std::size_t>, std::int16_t>;

  void warn_of_classes(const TargetColumn& target, const Beyond& beyond) {
    warn(
        fmt::format("task '{}' has {} classes, ids from 0 to {}, but class {} occurs, in {}. {}",
                    target.task,
                    target.classes,
                    target.classes - 1,
                    beyond.second,
                    files_.text(beyond.first),
                    beyond.second == kUsualNone
                        ? "Where 255 means no class, write -1."
                        : "Set its 'classes', take another data.label_folder, or mend the files."));
  }

  void finish_task(std::size_t k) {
    const TargetColumn& target = targets_[k];
    MapPartFindings& to = found(k);
    if (to.pixels == 0) {
      to.min = to.max = std::nan("");
      if (to.examples > 0) {
        warn(fmt::format(
            "task '{}' has no target in any pixel of {} examples.", target.task, to.examples));
      }
      return;
    }
    to.mean = sums_[k].all / static_cast<double>(to.pixels);
    if (target.kind == TaskKind::kDepth) {
      const Sum& sum = sums_[k];
      to.lower_to_upper = (sum.lower / sum.lowers) / (sum.upper / sum.uppers);
      finish_depth(target, to);
    } else if (target.kind == TaskKind::kNormals) {
      if (static_cast<double>(to.other_length) > kManyOff * static_cast<double>(to.pixels)) {
        warn(fmt::format(
            "task '{}': {} are not of length 1 (from {:.3g} to {:.3g}). The loss is the "
            "product with them as they are: longer ones count more. Bring them to length "
            "1, or to 0 where there is none.",
            target.task,
            count_text(to.other_length, to.pixels, "normals"),
            to.min,
            to.max));
      }
    } else if (target.kind == TaskKind::kSegmentation && part_ == Part::kTrain) {
      std::vector<std::string> absent;
      for (std::size_t id = 0; id < to.counts.size(); ++id) {
        if (to.counts[id] == 0) absent.push_back(findings_.maps[k].class_names[id]);
      }
      if (!absent.empty()) {
        findings_.warnings.push_back(
            {"balance",
             fmt::format(
                 "Task '{}': no training pixel is of class {}, which will never be predicted.",
                 target.task,
                 join_names(absent))});
      }
    }
  }

  void finish_depth(const TargetColumn& target, const MapPartFindings& to) {
    using Depth = DenseSource::Depth;
    const bool inverse = to.lower_to_upper > kAsInverse;
    const bool distance = to.lower_to_upper < kAsDistances;
    if (source_.depth() == Depth::kDistance && inverse) {
      warn(
          fmt::format("task '{}': depths are said to be distances, but look inverse (disparities): "
                      "the lower third of the images has {:.2f} times the upper third's. Set "
                      "data.depth, or take the inverse.",
                      target.task,
                      to.lower_to_upper));
    } else if (source_.depth() == Depth::kInverse && distance) {
      warn(fmt::format(
          "task '{}': depths are said to be inverse, but look like distances: the lower "
          "third of the images has {:.2f} times the upper third's. Set data.depth, or "
          "take the inverse.",
          target.task,
          to.lower_to_upper));
    }
    if (source_.depth() != Depth::kAny) return;
    findings_.notes.push_back(
        fmt::format("{}: {} {} (lower third of the images to the upper one: {:.2f}).",
                    name_of(part_),
                    target.task,
                    inverse    ? "looks like inverse depths (disparities)"
                    : distance ? "looks like distances"
                               : "may be distances or their inverse",
                    to.lower_to_upper));
  }

  const DenseSource& source_;
  Part part_;
  std::span<const TargetColumn> targets_;
  std::vector<std::int16_t> class_ids_;  // of binary tasks
  DataFindings& findings_;
  MapFiles files_;
  RowList rows_;
  std::vector<Sum> sums_;  // per task
  std::vector<std::size_t> other_shape_;
  std::string shapes_;
  std::map<std::size_t, Beyond> beyond_;  // by task
  std::set<std::uint32_t> images_;
  std::size_t repeated_ = 0;
};

}  // namespace

DataFindings inspect_maps(const DenseSource& source,
                          const SourceFiles& files,
                          std::span<const TargetColumn> targets) {
  DataFindings findings;
  for (const TargetColumn& target : targets) {
    MapFindings map{target.task, target.column, target.kind, target.class_names, {}};
    const std::int64_t classes = target.kind == TaskKind::kBinary ? 2 : target.classes;
    for (auto id = static_cast<std::int64_t>(map.class_names.size()); id < classes; ++id) {
      map.class_names.push_back(std::to_string(id));
    }
    findings.maps.push_back(std::move(map));
  }
  std::optional<DenseShape> shape;
  std::set<std::uint32_t> seen;
  for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
    if (files.has_rows(part)) MapLook(source, files, part, targets, findings).look(shape, seen);
  }
  return findings;
}

}  // namespace detente::data::internal
