// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/valuation/data_oob.h>
#include <detente/valuation/detection.h>
#include <detente/valuation/game.h>
#include <detente/valuation/knn_shapley.h>
#include <detente/valuation/lava.h>
#include <detente/valuation/ridge.h>
#include <detente/valuation/value_table.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <python/value_bindings.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace detente::python {
namespace {

using Features = py::array_t<float, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;
using Integers = py::array_t<std::int64_t, py::array::c_style>;
using valuation::Estimate;
using valuation::GameValues;
using valuation::Progress;
using valuation::RidgeTask;
using valuation::Utility;

// values, standard errors, counts: [outputs, n]
using Arrays = std::tuple<Doubles, Doubles, Integers>;

void check_dimensions(const py::array& array, py::ssize_t dimensions) {
  DETENTE_CHECK(array.ndim() == dimensions,
                ErrorCode::kShape,
                "[detente.value] an array has {} dimensions; expected {}.",
                array.ndim(),
                dimensions);
}

template <class T>
std::span<const T> view_of(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

std::size_t width_of(const Features& features) {
  check_dimensions(features, 2);
  return static_cast<std::size_t>(features.shape(1));
}

// The row of each task.
std::vector<std::span<const double>> rows_of(const Doubles& labels) {
  check_dimensions(labels, 2);
  const auto n = static_cast<std::size_t>(labels.shape(1));
  std::vector<std::span<const double>> rows;
  for (py::ssize_t t = 0; t < labels.shape(0); ++t) rows.emplace_back(labels.data(t, 0), n);
  return rows;
}

std::vector<RidgeTask> ridge_tasks(std::vector<std::span<const double>> rows,
                                   const std::vector<std::size_t>& classes) {
  DETENTE_CHECK(
      rows.size() == classes.size(),
      ErrorCode::kShape,
      "[detente.value] {} tasks have labels and {} a number of classes; expected as many.",
      rows.size(),
      classes.size());
  std::vector<RidgeTask> tasks;
  for (std::size_t t = 0; t < rows.size(); ++t) tasks.push_back({rows[t], classes[t]});
  return tasks;
}

template <class T>
py::array_t<T, py::array::c_style> array_of(std::span<const T> numbers) {
  return py::array_t<T, py::array::c_style>(static_cast<py::ssize_t>(numbers.size()),
                                            numbers.data());
}

// What rows are for C++ is int64 for NumPy.
Integers indices_of(std::span<const std::size_t> rows) {
  Integers array(static_cast<py::ssize_t>(rows.size()));
  std::copy(rows.begin(), rows.end(), array.mutable_data());
  return array;
}

std::vector<double> numbers_of(const py::object& answer) {
  const auto array = answer.cast<Doubles>();
  return {array.data(), array.data() + array.size()};
}

Arrays arrays_of(const std::vector<Estimate>& estimates) {
  const std::size_t n = estimates.empty() ? 0 : estimates[0].values.size();
  const std::vector<std::size_t> shape{estimates.size(), n};
  Doubles values(shape);
  Doubles errors(shape);
  Integers counts(shape);
  for (std::size_t t = 0; t < estimates.size(); ++t) {
    std::copy_n(estimates[t].values.data(), n, values.mutable_data() + t * n);
    std::copy_n(estimates[t].standard_errors.data(), n, errors.mutable_data() + t * n);
    std::copy_n(estimates[t].counts.data(), n, counts.mutable_data() + t * n);
  }
  return {std::move(values), std::move(errors), std::move(counts)};
}

void hear_signals() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// Ctrl-C is an exception; `told`, a function or None, ends the work early by an answer that is
// false and not None. It must live longer: functions of Python are copied under the lock alone.
Progress progress_of(const py::object& told) {
  return [&told](std::size_t done, std::size_t total) {
    const py::gil_scoped_acquire gil;
    hear_signals();
    if (told.is_none()) return true;
    const py::object answer = told(done, total);
    if (answer.is_none()) return true;
    const int truth = PyObject_IsTrue(answer.ptr());
    if (truth < 0) throw py::error_already_set();
    return truth != 0;
  };
}

Arrays knn_shapley(const Features& train,
                   const Features& test,
                   const Doubles& labels,
                   const Doubles& test_labels,
                   const std::vector<double>& tolerances,
                   const std::vector<double>& nobody,
                   std::size_t k,
                   bool soft,
                   int threads,
                   const py::object& told) {
  const auto known = rows_of(labels);
  const auto judging = rows_of(test_labels);
  const std::size_t width = width_of(train);
  DETENTE_CHECK(width_of(test) == width && judging.size() == known.size() &&
                    tolerances.size() == known.size() && nobody.size() == known.size(),
                ErrorCode::kShape,
                "[detente.value.knn_shapley] columns or tasks of both sides differ.");
  std::vector<valuation::KnnTask> tasks;
  for (std::size_t t = 0; t < known.size(); ++t) {
    tasks.push_back({known[t], judging[t], tolerances[t], nobody[t]});
  }
  const auto utility = soft ? valuation::KnnUtility::kSoft : valuation::KnnUtility::kHard;
  const valuation::KnnOptions options{
      .k = k, .utility = utility, .threads = threads, .progress = progress_of(told)};
  std::vector<Estimate> estimates;
  {
    const std::span<const float> a = view_of(train);
    const std::span<const float> b = view_of(test);
    const py::gil_scoped_release free;
    estimates = valuation::knn_shapley(a, b, width, tasks, options);
  }
  return arrays_of(estimates);
}

Arrays oob_ridge(const Features& features,
                 const Doubles& labels,
                 const std::vector<std::size_t>& classes,
                 double l2,
                 std::size_t models,
                 std::uint64_t seed,
                 const py::object& told) {
  const std::size_t width = width_of(features);
  const std::vector<RidgeTask> tasks = ridge_tasks(rows_of(labels), classes);
  const valuation::OobOptions options{models, seed, progress_of(told)};
  std::vector<Estimate> estimates;
  {
    const std::span<const float> rows = view_of(features);
    const py::gil_scoped_release free;
    valuation::Ridge ridge(rows, width, tasks, l2);
    estimates = valuation::data_oob(ridge.rows(), ridge.tasks(), valuation::oob_of(ridge), options);
  }
  return arrays_of(estimates);
}

// fit_and_score(drawn, others): float64, [others × outputs] in a row.
Arrays oob_own(std::size_t n,
               std::size_t outputs,
               const py::object& fit_and_score,
               std::size_t models,
               std::uint64_t seed,
               const py::object& told) {
  const valuation::OobOptions options{models, seed, progress_of(told)};
  std::vector<Estimate> estimates;
  {
    const py::gil_scoped_release free;
    estimates = valuation::data_oob(
        n,
        outputs,
        [&](std::span<const std::size_t> drawn, std::span<const std::size_t> others) {
          const py::gil_scoped_acquire gil;
          return numbers_of(fit_and_score(indices_of(drawn), indices_of(others)));
        },
        options);
  }
  return arrays_of(estimates);
}

// The rows of ridge models and those that judge them, copied: the caller may change its arrays.
class RidgeGame {
 public:
  // Fitting changes a model, so each game, on whatever thread, has its own.
  template <class F>
  auto with_utility(const F& use) const {
    valuation::Ridge ridge(features_, width_, tasks_of(labels_), l2_);
    return use(valuation::utility_of(ridge, test_, tasks_of(test_labels_)));
  }

  RidgeGame(const Features& features,
            const Doubles& labels,
            const Features& test,
            const Doubles& test_labels,
            std::vector<std::size_t> classes,
            double l2)
      : width_(width_of(features)), classes_(std::move(classes)), l2_(l2) {
    DETENTE_CHECK(width_of(test) == width_ && rows_of(labels).size() == classes_.size(),
                  ErrorCode::kShape,
                  "[detente.value.ridge_utility] columns or tasks of both sides differ.");
    const auto copied = [](const auto& array) {
      const auto view = view_of(array);
      return std::vector(view.begin(), view.end());
    };
    features_ = copied(features);
    test_ = copied(test);
    for (const auto& row : rows_of(labels)) labels_.emplace_back(row.begin(), row.end());
    for (const auto& row : rows_of(test_labels)) test_labels_.emplace_back(row.begin(), row.end());
    with_utility([](const Utility&) {});  // the errors now
  }

 private:
  std::vector<RidgeTask> tasks_of(const std::vector<std::vector<double>>& labels) const {
    return ridge_tasks({labels.begin(), labels.end()}, classes_);
  }

  std::size_t width_;
  std::vector<std::size_t> classes_;
  double l2_;
  std::vector<float> features_;
  std::vector<float> test_;
  std::vector<std::vector<double>> labels_;
  std::vector<std::vector<double>> test_labels_;
};

Doubles call_ridge(const RidgeGame& game, const Integers& members) {
  const auto view = view_of(members);
  std::vector<double> won;
  {
    const py::gil_scoped_release free;
    const std::vector<std::size_t> rows(view.begin(), view.end());
    won = game.with_utility([&](const Utility& utility) { return utility(rows); });
  }
  return array_of(std::span<const double>(won));
}

// game(utility) without the lock. `given`: a RidgeGame, or a function of int64 members that gives
// float64.
template <class F>
auto play(const py::object& given, const F& game) {
  GameValues result;
  if (py::isinstance<RidgeGame>(given)) {
    const auto& ridge = given.cast<const RidgeGame&>();
    const py::gil_scoped_release free;
    result = ridge.with_utility([&](const Utility& utility) {
      return game([&](std::span<const std::size_t> members) {
        {
          const py::gil_scoped_acquire gil;
          hear_signals();  // a permutation takes as many models as there are rows
        }
        return utility(members);
      });
    });
  } else {
    const py::gil_scoped_release free;
    result = game([&](std::span<const std::size_t> members) {
      const py::gil_scoped_acquire gil;
      return numbers_of(given(indices_of(members)));
    });
  }
  return std::make_tuple(arrays_of(result.outputs),
                         array_of(std::span<const double>(result.none)),
                         array_of(std::span<const double>(result.all)),
                         result.evaluations,
                         std::string(valuation::name_of(result.stop)));
}

auto exact_values(std::size_t n, const py::object& utility, const py::object& told) {
  const Progress progress = progress_of(told);
  return play(utility,
              [&](const Utility& v) { return valuation::exact_values(n, v, {}, progress); });
}

auto permutation_values(std::size_t n,
                        const py::object& utility,
                        double alpha,
                        double beta,
                        double truncation,
                        std::size_t permutations,
                        double tolerance,
                        std::size_t window,
                        std::uint64_t seed,
                        const py::object& told) {
  const valuation::PermutationOptions options{.semivalue = valuation::Semivalue::beta(alpha, beta),
                                              .truncation = truncation,
                                              .max_permutations = permutations,
                                              .tolerance = tolerance,
                                              .window = window,
                                              .seed = seed,
                                              .progress = progress_of(told)};
  return play(utility,
              [&](const Utility& v) { return valuation::permutation_values(n, v, options); });
}

auto banzhaf_values(std::size_t n,
                    const py::object& utility,
                    std::size_t samples,
                    std::uint64_t seed,
                    const py::object& told) {
  const valuation::BanzhafOptions options{samples, seed, progress_of(told)};
  return play(utility, [&](const Utility& v) { return valuation::banzhaf_values(n, v, options); });
}

auto leave_one_out(std::size_t n,
                   const py::object& utility,
                   std::size_t repeats,
                   const py::object& told) {
  const Progress progress = progress_of(told);
  return play(utility,
              [&](const Utility& v) { return valuation::leave_one_out(n, v, repeats, progress); });
}

auto lava(const Features& train,
          const Features& validation,
          const Doubles& labels,
          const Doubles& validation_labels,
          bool classes,
          double label_weight,
          double epsilon,
          double tolerance,
          int max_iterations,
          int threads,
          std::size_t memory,
          const py::object& told) {
  const std::size_t width = width_of(train);
  DETENTE_CHECK(width_of(validation) == width,
                ErrorCode::kShape,
                "[detente.value.lava] columns of both sides differ.");
  const valuation::LavaOptions options{.label_weight = label_weight,
                                       .epsilon = epsilon,
                                       .tolerance = tolerance,
                                       .max_iterations = max_iterations,
                                       .threads = threads,
                                       .memory = memory,
                                       .progress = progress_of(told)};
  const valuation::LavaTask task{view_of(labels), view_of(validation_labels), classes};
  valuation::LavaValues result;
  {
    const std::span<const float> a = view_of(train);
    const std::span<const float> b = view_of(validation);
    const py::gil_scoped_release free;
    result = valuation::lava(a, b, width, task, options);
  }
  return std::make_tuple(arrays_of({result.estimate}),
                         result.transport_cost,
                         result.mean_cost,
                         result.marginal_error,
                         result.iterations,
                         result.converged);
}

// The number, and why there is none.
std::pair<double, std::string> score_of(const metrics::Score& score) {
  return {score.value, score.reason};
}

py::tuple read_values(const std::string& path) {
  valuation::ValueTable table;
  {
    const py::gil_scoped_release free;
    table = valuation::read_values(path);
  }
  const std::size_t n = table.ids.size();
  std::vector<Estimate> estimates;
  std::vector<std::tuple<std::string, std::string, std::string>> names;
  for (valuation::ValueSeries& one : table.series) {
    if (one.standard_errors.empty()) {
      one.standard_errors.assign(n, std::numeric_limits<double>::quiet_NaN());
    }
    if (one.counts.empty()) one.counts.assign(n, 1);
    estimates.push_back(
        {std::move(one.values), std::move(one.standard_errors), std::move(one.counts)});
    names.emplace_back(one.task_trained, one.task_judged, one.modality);
  }
  return py::make_tuple(table.method,
                        array_of(std::span<const std::int64_t>(table.ids)),
                        names,
                        arrays_of(estimates));
}

std::string value_csv(const std::string& method,
                      const Integers& ids,
                      const std::vector<std::tuple<std::string, std::string, std::string>>& names,
                      const Doubles& values,
                      const Doubles& errors,
                      const Integers& counts) {
  const auto id = view_of(ids);
  const std::size_t n = id.size();
  DETENTE_CHECK(static_cast<std::size_t>(values.size()) == n * names.size() &&
                    errors.size() == values.size() && counts.size() == values.size(),
                ErrorCode::kShape,
                "[detente.value.Values] there are {} ids, {} series, {} values, {} standard errors "
                "and {} counts; expected one number for each id and series.",
                n,
                names.size(),
                values.size(),
                errors.size(),
                counts.size());
  valuation::ValueTable table{method, {id.begin(), id.end()}, {}};
  for (std::size_t s = 0; s < names.size(); ++s) {
    const auto& [trained, judged, modality] = names[s];
    const auto part = [&](const auto& array) {
      const auto view = view_of(array).subspan(s * n, n);
      return std::vector(view.begin(), view.end());
    };
    table.series.push_back({trained, judged, modality, part(values), part(errors), part(counts)});
  }
  const py::gil_scoped_release free;
  return valuation::to_csv(table);
}

}  // namespace

void bind_value(py::module_& m) {
  m.def("knn_shapley", &knn_shapley);
  m.def("oob_ridge", &oob_ridge);
  m.def("oob_own", &oob_own);

  py::class_<RidgeGame>(m, "RidgeGame")
      .def(py::init<const Features&,
                    const Doubles&,
                    const Features&,
                    const Doubles&,
                    std::vector<std::size_t>,
                    double>())
      .def("__call__", &call_ridge);
  m.def("exact_values", &exact_values);
  m.def("permutation_values", &permutation_values);
  m.def("banzhaf_values", &banzhaf_values);
  m.def("leave_one_out", &leave_one_out);
  m.def("lava", &lava);

  m.def("detection_auroc", [](const Doubles& values, const Doubles& bad) {
    return score_of(valuation::detection_auroc(view_of(values), view_of(bad)));
  });
  m.def("detection_f1", [](const Doubles& values, const Doubles& bad) {
    return score_of(valuation::detection_f1(view_of(values), view_of(bad)));
  });
  m.def("read_values", &read_values);
  m.def("value_csv", &value_csv);
}

}  // namespace detente::python
