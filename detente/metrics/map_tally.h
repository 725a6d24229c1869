// SPDX-License-Identifier: Apache-2.0
// How good predictions of maps are, counted batch by batch: the memory does not grow with the number of
// examples. Pixels whose target is NaN are left out. Undefined scores as in metrics.h.
//
//   segmentation  M[t, p] pixels of class t predicted as p, over everything added
//     pixel_accuracy       Σ_c M[c, c] / Σ M
//     miou                 mean over the classes of M[c, c] / (row_c + column_c − M[c, c]); classes in
//                          neither targets nor predictions have none and are left out (Score::note
//                          says how many)
//   depth         e = |prediction − target|
//     abs_error, rel_error               mean of e, of e / target over all pixels
//     abs_error_batch, rel_error_batch   mean over the batches of their means
//   normals       θ the angle in degrees between prediction and target, whatever their lengths; a
//                 prediction of length 0 has 90
//     mean_angle           over all pixels
//     median_angle         likewise, to kMedianBin degrees
//     within_11, _22, _30  share of pixels with θ < 11.25, 22.5, 30
//     the same with _batch mean over the batches of a batch's own number; of two middle angles the
//                          median is their mean
//
// "_batch" is what the code of MTAN, CAGrad, Nash-MTL and FAMO reports, each batch counting alike however
// many pixels of it have targets: to be compared with those papers' tables and with no others. A mean of
// medians is no median of all.
#pragma once

#include <detente/core/task_kind.h>
#include <detente/metrics/metrics.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace detente::metrics {

inline constexpr double kMedianBin = 0.005;

// One batch of examples. Of each example its channels one after the other, a number per pixel in each.
// Predictions are what a user reads: ids, depths, vectors.
struct MapBatch {
  std::span<const double> predictions;
  std::span<const float> targets;
  std::size_t pixels = 0;  // of one example
};

class MapTally {
 public:
  virtual ~MapTally() = default;

  // Throws kShape where the sizes do not fit, kInternal for a class id that is none.
  virtual void add(const MapBatch& batch) = 0;
  // kInternal for a metric of another kind.
  virtual Score score(std::string_view metric) const = 0;
  // Segmentation: M as above, row by row; else empty.
  virtual std::span<const std::size_t> confusion() const { return {}; }
};

// `classes`: of segmentation. kInternal for a kind without maps.
std::unique_ptr<MapTally> make_map_tally(TaskKind kind, std::size_t classes);

}  // namespace detente::metrics
