// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/distill/collapse.h>
#include <detente/distill/ddgsd.h>
#include <detente/distill/dino_head.h>
#include <detente/distill/dino_loss.h>
#include <detente/distill/dino_options.h>
#include <detente/distill/kd.h>
#include <detente/distill/knn.h>
#include <detente/distill/linear_probe.h>
#include <detente/distill/mutual.h>
#include <detente/distill/schedules.h>
#include <detente/nn/ema.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <python/distill_bindings.h>
#include <torch/csrc/utils/pybind.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace detente::python {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;
using Labels = py::array_t<std::int64_t, py::array::c_style>;
using Free = py::call_guard<py::gil_scoped_release>;
using distill::CollapseMonitor;
using distill::DdgsdOptions;
using distill::DinoHeadOptions;
using distill::DinoOptions;

template <class T>
T options_of(const Options& options, const std::string& where) {
  T made;
  for (const auto& [key, text] : options) {
    set_field([&](FieldVisitor& visitor) { made.describe(visitor); }, key, text, where);
  }
  return made;
}

// A choice by its name, refused as options are.
template <class T>
T choice_of(const char* what,
            const std::string& name,
            const std::vector<std::pair<std::string, T>>& names,
            const std::string& where) {
  T chosen = names.front().second;
  set_field(
      [&](FieldVisitor& visitor) { visitor.choice(what, chosen, names, ""); }, what, name, where);
  return chosen;
}

std::optional<at::Tensor> if_defined(at::Tensor tensor) {
  if (!tensor.defined()) return std::nullopt;
  return tensor;
}

std::span<const std::int64_t> view_of(const Labels& labels) {
  return {labels.data(), static_cast<std::size_t>(labels.size())};
}

// The state by name, and what to change.
std::pair<std::string, std::string> add(CollapseMonitor& monitor,
                                        double mean_entropy,
                                        double entropy_of_mean,
                                        double feature_deviation,
                                        const DinoOptions& options) {
  const auto state = monitor.add(mean_entropy, entropy_of_mean, feature_deviation);
  return {distill::name_of(state), monitor.remedy(state, options)};
}

auto dino_terms(const at::Tensor& student,
                const at::Tensor& teacher,
                const at::Tensor& centre,
                std::int64_t views,
                std::int64_t globals,
                double student_temperature,
                double teacher_temperature) {
  distill::DinoTerms terms = distill::dino_terms(
      student, teacher, centre, views, globals, student_temperature, teacher_temperature);
  return std::make_tuple(terms.total,
                         if_defined(terms.global_to_global),
                         if_defined(terms.local_to_global),
                         terms.mean_entropy,
                         terms.entropy_of_mean,
                         terms.cross_entropy);
}

// The head's parameters at the start: name, values, whether it is trained.
auto dino_head_start(const Options& options, std::int64_t in, Rng& rng) {
  nn::Draw draw(rng);
  const distill::DinoHead head(
      options_of<DinoHeadOptions>(options, "[detente.distill.DinoHead]"), in, draw);
  std::vector<std::tuple<std::string, at::Tensor, bool>> all;
  for (const auto& [name, value] : head.parameters().trained()) {
    all.emplace_back(name, value.detach(), true);
  }
  for (const auto& [name, value] : head.parameters().fixed()) all.emplace_back(name, value, false);
  return all;
}

void follow(TensorList averages, const TensorList& values, double decay) {
  for (std::size_t i = 0; i < averages.size(); ++i) nn::follow(averages[i], values.at(i), decay);
}

// With their weights, as the program's tasks have them: kl_ab, kl_ba, mmd.
auto ddgsd_terms(const at::Tensor& logits_a,
                 const at::Tensor& logits_b,
                 const at::Tensor& features_a,
                 const at::Tensor& features_b,
                 const DdgsdOptions& options) {
  const auto aim = [&](const at::Tensor& z) { return options.detach ? z.detach() : z; };
  const double t = options.temperature;
  const double weight = options.kl_weight * (options.temperature_squared ? t * t : 1.0);
  return std::make_tuple(distill::kl_divergence(aim(logits_a), logits_b, t).mul(weight),
                         distill::kl_divergence(aim(logits_b), logits_a, t).mul(weight),
                         distill::mmd(features_a, features_b, options.mmd).mul(options.mmd_weight));
}

std::optional<at::Tensor> kd_loss(const at::Tensor& student,
                                  const at::Tensor& teacher,
                                  double temperature,
                                  const std::string& kind) {
  const TaskKind chosen = choice_of("kind", kind, task_kind_names(), "[detente.distill.kd_loss]");
  return if_defined(distill::distillation_loss(chosen, student, teacher, temperature, nullptr));
}

std::vector<double> knn_accuracy(const at::Tensor& train,
                                 const Labels& train_labels,
                                 const at::Tensor& test,
                                 const Labels& test_labels,
                                 const std::vector<std::int64_t>& ks,
                                 double temperature) {
  const auto known = view_of(train_labels);
  const auto asked = view_of(test_labels);
  const py::gil_scoped_release free;
  return distill::knn_accuracy(train, known, test, asked, ks, temperature);
}

double linear_accuracy(const at::Tensor& train,
                       const Labels& train_labels,
                       const at::Tensor& test,
                       const Labels& test_labels,
                       double ridge) {
  const auto known = view_of(train_labels);
  const auto asked = view_of(test_labels);
  const py::gil_scoped_release free;
  return distill::linear_accuracy(train, known, test, asked, ridge);
}

std::vector<double> cosine_schedule(
    double begin, double end, std::int64_t steps, std::int64_t warmup, const std::string& ends) {
  using Ends = distill::ScheduleEnds;
  const Ends chosen =
      choice_of<Ends>("ends",
                      ends,
                      {{"reference", Ends::kReference}, {"inclusive", Ends::kInclusive}},
                      "[detente.distill.cosine_schedule]");
  DETENTE_CHECK(steps >= 1,
                ErrorCode::kInvalidArgument,
                "[detente.distill.cosine_schedule] steps must be >= 1, got {}.",
                steps);
  std::vector<double> course(static_cast<std::size_t>(steps));
  for (std::int64_t t = 0; t < steps; ++t) {
    course[static_cast<std::size_t>(t)] =
        distill::cosine_course(begin, end, t, steps, warmup, chosen);
  }
  return course;
}

}  // namespace

void bind_distill(py::module_& m) {
  py::class_<DinoOptions>(m, "DinoOptions")
      .def(py::init([](const Options& options) {
        return options_of<DinoOptions>(options, "[detente.distill.DinoLoss]");
      }))
      .def_readonly("student_temperature", &DinoOptions::student_temperature)
      .def_readonly("centre_momentum", &DinoOptions::centre_momentum)
      .def_readonly("teacher_warmup_epochs", &DinoOptions::teacher_warmup_epochs)
      .def("teacher_temperature", &distill::teacher_temperature);

  py::class_<CollapseMonitor>(m, "CollapseMonitor")
      .def(py::init<std::int64_t, std::int64_t>())
      .def("add", &add)
      .def("state", &CollapseMonitor::state)
      .def("load_state", [](CollapseMonitor& monitor, const std::vector<double>& numbers) {
        monitor.load_state(numbers);
      });

  m.def("dino_terms", &dino_terms, Free());
  m.def("moved_centre", &distill::moved_centre, Free());
  m.def("feature_deviation", &distill::feature_deviation, Free());
  m.def("dino_head_start", &dino_head_start, Free());
  m.def("dino_head", &distill::dino_head, Free());
  m.def("is_last_layer",
        [](const std::string& name) { return distill::DinoHead::is_last_layer(name); });
  m.def("follow", &follow, Free());
  m.def("cosine_schedule", &cosine_schedule);
  m.def("cosine_course", [](double begin, double end, std::int64_t step, std::int64_t total) {
    return distill::cosine_course(begin, end, step, total);
  });

  py::class_<DdgsdOptions>(m, "DdgsdOptions").def(py::init([](const Options& options) {
    return options_of<DdgsdOptions>(options, "[detente.distill.DDGSD]");
  }));
  m.def("ddgsd_terms", &ddgsd_terms, Free());
  m.def("kd_loss", &kd_loss, Free());
  m.def("mutual_term", &distill::mutual_term, Free());
  m.def("knn_accuracy", &knn_accuracy);
  m.def("linear_accuracy", &linear_accuracy);
}

}  // namespace detente::python
