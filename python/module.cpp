// SPDX-License-Identifier: Apache-2.0
// detente._core: the engine and the methods as Python sees them. The package's own words (dicts, defaults,
// docstrings) are in python/detente; here everything is a list in the order of the tasks.
#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <detente/autograd/reach.h>
#include <detente/balance/gram.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/json_text.h>
#include <detente/core/version.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <python/distill_bindings.h>
#include <python/python_group.h>
#include <python/value_bindings.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/utils/pybind.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace detente::python {
namespace {

using Array = py::array_t<double, py::array::c_style | py::array::forcecast>;
using OptionalTensors = std::vector<std::optional<at::Tensor>>;
using Options = std::vector<std::pair<std::string, std::string>>;

py::array_t<double> array_of(const Matrix& matrix) {
  py::array_t<double> array({matrix.rows(), matrix.cols()});
  std::copy_n(matrix.data(), matrix.rows() * matrix.cols(), array.mutable_data());
  return array;
}

TensorList tensors_of(const OptionalTensors& tensors) {
  TensorList list;
  for (const auto& tensor : tensors) list.push_back(tensor.value_or(at::Tensor()));
  return list;
}

MatrixView square_view(const Array& gram) {
  DETENTE_CHECK(gram.ndim() == 2 && gram.shape(0) == gram.shape(1),
                ErrorCode::kShape,
                "[detente.solve] a Gram matrix is square, one row and column per task.");
  return {gram.data(),
          static_cast<std::size_t>(gram.shape(0)),
          static_cast<std::size_t>(gram.shape(1))};
}

// A method whose weights are computed in Python: weights(gram, losses) of the object.
class PythonMethod final : public balance::Method {
 public:
  PythonMethod(py::object object, std::string name, bool uses_losses)
      : object_(std::move(object)), name_(std::move(name)), uses_losses_(uses_losses) {}
  ~PythonMethod() override {
    const py::gil_scoped_acquire gil;
    object_ = py::object();
  }
  balance::MethodClass method_class() const override {
    return uses_losses_ ? balance::MethodClass::kGramLoss : balance::MethodClass::kGram;
  }
  const char* name() const override { return name_.c_str(); }

 protected:
  void compute(const balance::Problem& problem, balance::Result& result) override {
    const py::gil_scoped_acquire gil;
    py::array_t<double> gram({problem.tasks, problem.tasks});
    std::copy_n(problem.gram.data, problem.tasks * problem.tasks, gram.mutable_data());
    py::object losses = py::none();
    if (uses_losses_)
      losses = Array(static_cast<py::ssize_t>(problem.tasks), problem.losses.data());
    const Array weights = object_.attr("weights")(gram, losses).cast<Array>();
    DETENTE_CHECK(
        weights.ndim() == 1 && weights.shape(0) == static_cast<py::ssize_t>(problem.tasks),
        ErrorCode::kShape,
        "[detente.Method] weights() of method '{}' gave an array of {} dimensions and {} numbers; "
        "expected one number for each of {} tasks.",
        name_,
        weights.ndim(),
        weights.size(),
        problem.tasks);
    result.weights.assign(weights.data(), weights.data() + weights.shape(0));
  }

 private:
  py::object object_;
  std::string name_;
  bool uses_losses_;
};

using MethodPointer = std::shared_ptr<balance::Method>;

MethodPointer make_method(const std::string& name, const Options& options) {
  MethodPointer method = balance::make_method(name);
  for (const auto& [key, text] : options) {
    set_field([&](FieldVisitor& visitor) { method->describe(visitor); },
              key,
              text,
              "[detente] method " + name + ":");
  }
  return method;
}

py::list method_list() {
  py::list list;
  for (const balance::MethodInfo& info : balance::registry()) {
    py::list options;
    for (const FieldInfo& field :
         list_fields([&](FieldVisitor& visitor) { info.make()->describe(visitor); })) {
      options.append(py::dict(py::arg("name") = field.name,
                              py::arg("type") = field.type,
                              py::arg("default") = field.default_value,
                              py::arg("rule") = field.rule,
                              py::arg("doc") = field.doc));
    }
    list.append(py::dict(py::arg("name") = info.name,
                         py::arg("title") = info.title,
                         py::arg("summary") = info.summary,
                         py::arg("when") = info.when,
                         py::arg("paper") = info.paper,
                         py::arg("needs") = balance::name_of(info.method_class),
                         py::arg("stateful") = info.stateful,
                         py::arg("laws") = balance::law_names(info.laws),
                         py::arg("options") = options));
  }
  return list;
}

py::dict result_of(const balance::Result& result) {
  return py::dict(py::arg("weights") = py::array_t<double>(
                      static_cast<py::ssize_t>(result.weights.size()), result.weights.data()),
                  py::arg("stop") = balance::name_of(result.stop),
                  py::arg("iterations") = result.iterations,
                  py::arg("certificate") = result.certificate,
                  py::arg("message") = result.message);
}

std::span<const double> losses_view(const std::optional<Array>& losses, std::size_t tasks) {
  if (!losses) return {};
  DETENTE_CHECK(losses->ndim() == 1 && losses->shape(0) == static_cast<py::ssize_t>(tasks),
                ErrorCode::kShape,
                "[detente.solve] {} losses for {} tasks; expected one each.",
                losses->size(),
                tasks);
  return {losses->data(), tasks};
}

py::dict solve_gram(balance::Method& method,
                    const Array& gram,
                    const std::optional<Array>& losses,
                    Rng& rng) {
  const MatrixView view = square_view(gram);
  balance::Problem problem;
  problem.tasks = view.rows;
  problem.gram = view;
  problem.losses = losses_view(losses, view.rows);
  problem.rng = &rng;
  balance::Result result;
  {
    const py::gil_scoped_release free;
    method.solve(problem, result);
  }
  return result_of(result);
}

// Class J: the direction itself.
py::tuple solve_rows(balance::Method& method,
                     const Array& jacobian,
                     const std::optional<Array>& losses,
                     Rng& rng) {
  DETENTE_CHECK(jacobian.ndim() == 2,
                ErrorCode::kShape,
                "[detente.solve] a Jacobian has a row per task and a column per parameter.");
  const auto rows = static_cast<std::size_t>(jacobian.shape(0));
  const auto columns = static_cast<std::size_t>(jacobian.shape(1));
  balance::Problem problem;
  problem.tasks = rows;
  problem.losses = losses_view(losses, rows);
  problem.rng = &rng;
  py::array_t<double> direction(static_cast<py::ssize_t>(columns));
  balance::Result result;
  double* const written = direction.mutable_data();
  {
    const py::gil_scoped_release free;
    method.direct(problem,
                  balance::Rows<double>{jacobian.data(), rows, columns, columns},
                  {written, columns},
                  result);
  }
  return py::make_tuple(direction, result_of(result));
}

py::dict report_of(const engine::StepReport& report) {
  const py::object none = py::none();
  py::list groups;
  for (const auto& group : report.groups)
    groups.append(py::make_tuple(group.name, array_of(group.gram)));
  return py::dict(
      py::arg("losses") = report.losses,
      py::arg("weights") = report.weights,
      py::arg("present") = report.present,
      py::arg("gram") = report.diagnosed ? py::object(array_of(report.gram)) : none,
      py::arg("cosines") = report.diagnosed ? py::object(array_of(report.cosines)) : none,
      py::arg("norms") = report.diagnosed ? py::cast(report.gradient_norms) : none,
      py::arg("conflict") = report.diagnosed ? py::cast(report.conflict) : none,
      py::arg("groups") = groups,
      py::arg("direction_norm") = report.direction_norm,
      py::arg("clip_factor") = report.clip_factor,
      py::arg("loss_scale") = report.loss_scale,
      py::arg("skipped") = report.skipped,
      py::arg("strategy") = engine::name_of(report.strategy),
      py::arg("estimated") = report.estimated,
      py::arg("stop") = balance::name_of(report.stop),
      py::arg("iterations") = report.iterations,
      py::arg("certificate") = report.certificate,
      py::arg("message") = report.message,
      py::arg("notice") = report.notice,
      py::arg("backward_ms") = report.backward_ms,
      py::arg("solve_ms") = report.solve_ms);
}

// MultiTaskBackward that adds to .grad, as Tensor.backward() does.
class Engine {
 public:
  Engine(const TensorList& shared,
         const std::vector<TensorList>& own,
         MethodPointer method,
         std::vector<std::string> names,
         const Options& options)
      : method_(std::move(method)) {
    parameters_ = shared;
    for (const auto& list : own) parameters_.insert(parameters_.end(), list.begin(), list.end());
    engine::MultiTaskOptions chosen;
    // Several passes at once would run Python's hooks and functions on several threads.
    chosen.passes = engine::MultiTaskOptions::Passes::kInTurn;
    for (const auto& [key, text] : options) {
      set_field([&](FieldVisitor& visitor) { chosen.describe(visitor); },
                key,
                text,
                "[detente.Balancer]");
    }
    engine_ =
        std::make_unique<engine::MultiTaskBackward>(shared, own, method_, std::move(names), chosen);
  }

  py::dict backward(const OptionalTensors& losses,
                    const std::vector<std::int64_t>& rows,
                    const std::vector<double>& shares,
                    Rng& rng) {
    const TensorList list = tensors_of(losses);
    const engine::StepReport* report = nullptr;
    {
      const py::gil_scoped_release free;
      const TensorList before = gradients();
      if (!rows.empty()) engine_->set_rows(rows);
      if (!shares.empty()) engine_->set_shares(shares);
      report = &(*engine_)(std::span<const at::Tensor>(list), rng);
      add(before, *report);
    }
    return report_of(*report);
  }
  void accumulate(const OptionalTensors& losses, const std::vector<double>& shares) {
    const TensorList list = tensors_of(losses);
    const py::gil_scoped_release free;
    engine_->accumulate(list, shares);
  }
  py::dict finish(Rng& rng) {
    const engine::StepReport* report = nullptr;
    {
      const py::gil_scoped_release free;
      const TensorList before = gradients();
      report = &engine_->finish(rng);
      add(before, *report);
    }
    return report_of(*report);
  }
  void set_independent(const OptionalTensors& first, const OptionalTensors& second) {
    const TensorList a = tensors_of(first);
    const TensorList b = tensors_of(second);
    const py::gil_scoped_release free;
    engine_->set_independent(a, b);
  }
  void set_estimate(const OptionalTensors& losses) {
    const TensorList list = tensors_of(losses);
    const py::gil_scoped_release free;
    engine_->set_estimate(list);
  }
  void after_step(const OptionalTensors& losses) {
    const TensorList list = tensors_of(losses);
    const py::gil_scoped_release free;
    engine_->after_step(list);
  }
  void set_groups(std::vector<std::string> names, std::vector<int> group_of) {
    engine_->set_groups(std::move(names), std::move(group_of));
  }
  void set_group(const py::object& processes) {
    engine_->set_group(std::make_shared<PythonGroup>(processes));
  }
  bool wants_independent() const { return engine_->wants_independent(); }
  bool wants_estimate() const { return engine_->wants_estimate(); }
  std::int64_t shared_size() const { return engine_->shared_size(); }
  std::string state() const { return json_text(engine_->state()); }
  void load_state(const std::string& text) { engine_->load_state(Json::parse(text)); }

  // Under a GradScaler: the losses are multiplied by its scale in the passes, the method sees gradients without
  // it, and .grad gets it back for the scaler to take out. For engines with dynamic loss scaling.
  void set_loss_scale(double scale) {
    Json state = engine_->state();
    state["loss_scale"] = scale;
    state["good_steps"] = 0;
    engine_->load_state(state);
    scaled_ = true;
  }

 private:
  TensorList gradients() const {
    TensorList list;
    for (const at::Tensor& parameter : parameters_) list.push_back(parameter.grad());
    return list;
  }
  // A step whose gradients overflowed leaves .grad undefined; what was there before stays.
  void add(const TensorList& before, const engine::StepReport& report) const {
    const double factor = scaled_ ? report.loss_scale : 1.0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      at::Tensor& now = parameters_[i].mutable_grad();
      if (now.defined() && factor != 1.0) now.mul_(factor);
      if (!before[i].defined()) continue;
      now = report.skipped || !now.defined() ? before[i] : before[i].add(now);
    }
  }

  MethodPointer method_;
  TensorList parameters_;
  bool scaled_ = false;
  std::unique_ptr<engine::MultiTaskBackward> engine_;
};

py::dict arrays_of(const balance::Method& method) {
  py::dict dict;
  for (const balance::StateArray& array : method.state_arrays()) {
    std::vector<py::ssize_t> shape(array.shape.begin(), array.shape.end());
    std::visit(
        [&](const auto& values) {
          using T = typename std::decay_t<decltype(values)>::value_type;
          py::array_t<T> numbers(shape);
          std::copy(values.begin(), values.end(), numbers.mutable_data());
          dict[py::str(array.name)] = numbers;
        },
        array.values);
  }
  return dict;
}

void load_arrays(balance::Method& method, const py::dict& dict) {
  std::vector<balance::StateArray> arrays;
  for (const auto& [name, value] : dict) {
    balance::StateArray array;
    array.name = name.cast<std::string>();
    const auto numbers = py::cast<py::array>(value);
    for (py::ssize_t d = 0; d < numbers.ndim(); ++d) {
      array.shape.push_back(static_cast<std::size_t>(numbers.shape(d)));
    }
    if (py::isinstance<py::array_t<float>>(numbers)) {
      const auto typed = numbers.cast<py::array_t<float, py::array::c_style>>();
      array.values = std::vector<float>(typed.data(), typed.data() + typed.size());
    } else {
      const auto typed = numbers.cast<Array>();
      array.values = std::vector<double>(typed.data(), typed.data() + typed.size());
    }
    arrays.push_back(std::move(array));
  }
  method.load_state_arrays(std::move(arrays));
}

PyObject* exception_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kShape:
    case ErrorCode::kData:
      return PyExc_ValueError;
    case ErrorCode::kNumeric:
      return PyExc_ArithmeticError;
    case ErrorCode::kIo:
      return PyExc_OSError;
    case ErrorCode::kUnsupported:
      return PyExc_NotImplementedError;
    case ErrorCode::kPeerLost:
    case ErrorCode::kInternal:
      break;
  }
  return PyExc_RuntimeError;
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const Error& error) {
    py::set_error(exception_of(error.code()), error.what());
  } catch (python_error& error) {
    // Of a hook or a function of the user's, as it was raised.
    error.restore();
  } catch (const c10::Error& error) {
    py::set_error(PyExc_RuntimeError, error.what_without_backtrace());
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  py::register_exception_translator(&translate);
  m.attr("version") = DETENTE_VERSION;
  m.attr("torch_version") = tensor::engine_version();

  py::class_<Rng>(m, "Rng")
      .def(py::init<std::uint64_t>())
      .def("state",
           [](const Rng& rng) {
             return std::vector<std::uint64_t>(rng.state().begin(), rng.state().end());
           })
      .def("set_state",
           [](Rng& rng, const std::array<std::uint64_t, 4>& state) { rng.set_state(state); });

  py::class_<balance::Method, MethodPointer>(m, "Method")
      .def_property_readonly("name", &balance::Method::name)
      .def_property_readonly(
          "needs",
          [](const balance::Method& method) { return balance::name_of(method.method_class()); })
      .def_property_readonly("uses_losses", &balance::Method::uses_losses)
      .def_property_readonly("wants_losses_after_step", &balance::Method::wants_losses_after_step)
      .def("options",
           [](balance::Method& method) {
             return json_text(
                 fields_to_json([&](FieldVisitor& visitor) { method.describe(visitor); }));
           })
      .def("state", [](const balance::Method& method) { return json_text(method.state()); })
      .def("load_state",
           [](balance::Method& method, const std::string& text) {
             method.load_state(Json::parse(text));
           })
      .def("arrays", &arrays_of)
      .def("load_arrays", &load_arrays);
  m.def("make_method", &make_method);
  m.def("python_method",
        [](py::object object, std::string name, bool uses_losses) -> MethodPointer {
          return std::make_shared<PythonMethod>(std::move(object), std::move(name), uses_losses);
        });
  m.def("methods", &method_list);
  m.def("solve_gram",
        &solve_gram,
        py::arg("method"),
        py::arg("gram"),
        py::arg("losses"),
        py::arg("rng"));
  m.def("solve_rows",
        &solve_rows,
        py::arg("method"),
        py::arg("jacobian"),
        py::arg("losses"),
        py::arg("rng"));

  m.def("reach", [](const OptionalTensors& losses) {
    const TensorList list = tensors_of(losses);
    autograd::Reach reach;
    {
      const py::gil_scoped_release free;
      reach = autograd::parameters_behind(list);
    }
    return py::make_tuple(reach.parameters, reach.by_loss, reach.compiled);
  });

  py::class_<Engine>(m, "Engine")
      .def(py::init<const TensorList&,
                    const std::vector<TensorList>&,
                    MethodPointer,
                    std::vector<std::string>,
                    const Options&>())
      .def("backward", &Engine::backward)
      .def("accumulate", &Engine::accumulate)
      .def("finish", &Engine::finish)
      .def("set_independent", &Engine::set_independent)
      .def("set_estimate", &Engine::set_estimate)
      .def("after_step", &Engine::after_step)
      .def("set_groups", &Engine::set_groups)
      .def("set_group", &Engine::set_group)
      .def("set_loss_scale", &Engine::set_loss_scale)
      .def_property_readonly("wants_independent", &Engine::wants_independent)
      .def_property_readonly("wants_estimate", &Engine::wants_estimate)
      .def_property_readonly("shared_size", &Engine::shared_size)
      .def("state", &Engine::state)
      .def("load_state", &Engine::load_state);

  bind_distill(m);
  bind_value(m);
}

}  // namespace detente::python
