// SPDX-License-Identifier: Apache-2.0
// What kind of answer a task wants; heads, losses, metrics and target columns all speak of it.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace detente {

enum class TaskKind {
  kRegression,  // a number; the prediction is that number
  kBinary,      // 0 or 1; the prediction is the probability of 1
  kClasses,     // an id in {0, ..., classes - 1}; the prediction is an id
  // For each pixel of an image:
  kSegmentation,  // an id as of kClasses
  kDepth,         // a number > 0
  kNormals,       // a vector of three, its direction alone
};

// Whether an answer is a map, with something for each pixel; else it is one for the whole example.
inline bool is_map(TaskKind kind) {
  return kind == TaskKind::kSegmentation || kind == TaskKind::kDepth || kind == TaskKind::kNormals;
}

inline const char* name_of(TaskKind kind) {
  switch (kind) {
    case TaskKind::kRegression:
      return "regression";
    case TaskKind::kBinary:
      return "binary";
    case TaskKind::kClasses:
      return "classes";
    case TaskKind::kSegmentation:
      return "segmentation";
    case TaskKind::kDepth:
      return "depth";
    case TaskKind::kNormals:
      return "normals";
  }
  return "regression";
}

// For FieldVisitor::choice.
inline std::vector<std::pair<std::string, TaskKind>> task_kind_names() {
  return {{"regression", TaskKind::kRegression},
          {"binary", TaskKind::kBinary},
          {"classes", TaskKind::kClasses},
          {"segmentation", TaskKind::kSegmentation},
          {"depth", TaskKind::kDepth},
          {"normals", TaskKind::kNormals}};
}

}  // namespace detente
