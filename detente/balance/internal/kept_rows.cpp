// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/kept_rows.h>
#include <detente/balance/internal/state.h>
#include <detente/core/error.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

namespace detente::balance::internal {
namespace {

std::string where_of(const char* method) { return fmt::format("[balance::{}]", method); }

const char* type_name(const StateArray& array) {
  return array.values.index() == 0 ? "float32" : "float64";
}

bool all_finite(const StateArray& array) {
  return std::visit(
      [](const auto& values) {
        return std::all_of(values.begin(), values.end(), [](auto x) { return std::isfinite(x); });
      },
      array.values);
}

}  // namespace

void KeptRows::clear() {
  rows_ = 0;
  cols_ = 0;
  values_ = std::vector<float>();
}

template <class T>
void KeptRows::fit(std::size_t rows, std::size_t cols, bool started, const char* method) {
  if (!started) {
    rows_ = rows;
    cols_ = cols;
    values_ = std::vector<T>(rows * cols, T(0));
    return;
  }
  DETENTE_CHECK(!empty(),
                ErrorCode::kData,
                "[balance::{}] the saved state came without its array '{}'; expected "
                "load_state_arrays() after load_state().",
                method,
                name_);
  DETENTE_CHECK(rows_ == rows && cols_ == cols,
                ErrorCode::kShape,
                "[balance::{}] keeps {} x {} numbers ('{}') between steps; expected gradients to "
                "match, got {} tasks with {} parameters. Keep the tasks and the shared parameters "
                "as they were, or start with a new method.",
                method,
                rows_,
                cols_,
                name_,
                rows,
                cols);
  constexpr bool kSingle = std::is_same_v<T, float>;
  DETENTE_CHECK(std::holds_alternative<std::vector<T>>(values_),
                ErrorCode::kInvalidArgument,
                "[balance::{}] the gradients of the steps before were {}; expected the same, got "
                "{}. Go on in the precision of the snapshot.",
                method,
                kSingle ? "float64" : "float32",
                kSingle ? "float32" : "float64");
}

template void KeptRows::fit<float>(std::size_t, std::size_t, bool, const char*);
template void KeptRows::fit<double>(std::size_t, std::size_t, bool, const char*);

std::vector<StateArray> save_rows(const std::vector<KeptRows*>& from) {
  std::vector<StateArray> arrays;
  for (const KeptRows* rows : from) {
    if (!rows->empty()) arrays.push_back(rows->save());
  }
  return arrays;
}

void load_rows(std::vector<StateArray> arrays,
               const std::vector<KeptRows*>& into,
               std::size_t tasks,
               const char* method) {
  for (KeptRows* rows : into) rows->clear();
  const std::size_t expected = tasks == 0 ? 0 : into.size();
  DETENTE_CHECK(arrays.size() == expected,
                ErrorCode::kData,
                "[balance::{}] the saved state has {} arrays; expected {}.",
                method,
                arrays.size(),
                expected);
  if (tasks == 0) return;
  for (KeptRows* rows : into) {
    const auto found = std::find_if(
        arrays.begin(), arrays.end(), [&](const auto& array) { return array.name == rows->name_; });
    DETENTE_CHECK(found != arrays.end(),
                  ErrorCode::kData,
                  "[balance::{}] the saved state has no array '{}'; it belongs to another method "
                  "or version.",
                  method,
                  rows->name_);
    const auto& shape = found->shape;
    const std::size_t size = std::visit([](const auto& v) { return v.size(); }, found->values);
    DETENTE_CHECK(shape.size() == 2 && (shape[0] == tasks || shape[0] == 1) && shape[1] > 0 &&
                      size % shape[1] == 0 && size / shape[1] == shape[0],
                  ErrorCode::kData,
                  "[balance::{}] array '{}' of the saved state has shape [{}] and {} numbers; "
                  "expected a row of numbers for each of the {} tasks.",
                  method,
                  rows->name_,
                  fmt::join(shape, ", "),
                  size,
                  tasks);
    DETENTE_CHECK(shape[1] == arrays.front().shape.back() &&
                      found->values.index() == arrays.front().values.index(),
                  ErrorCode::kData,
                  "[balance::{}] arrays '{}' and '{}' of the saved state differ in width or type "
                  "({} and {}); expected them from one snapshot.",
                  method,
                  arrays.front().name,
                  rows->name_,
                  type_name(arrays.front()),
                  type_name(*found));
    DETENTE_CHECK(all_finite(*found),
                  ErrorCode::kData,
                  "[balance::{}] array '{}' of the saved state has a NaN or infinity; expected "
                  "finite numbers.",
                  method,
                  rows->name_);
  }
  for (KeptRows* rows : into) {
    const auto found = std::find_if(
        arrays.begin(), arrays.end(), [&](const auto& array) { return array.name == rows->name_; });
    rows->rows_ = found->shape[0];
    rows->cols_ = found->shape[1];
    rows->values_ = std::move(found->values);
  }
}

std::vector<double> state_list(
    const Json& state, const char* key, std::size_t size, bool counts, const char* method) {
  auto values = state_numbers(state, key, where_of(method));
  DETENTE_CHECK(values.size() == size &&
                    (!counts || std::all_of(values.begin(),
                                            values.end(),
                                            [](double x) { return x >= 0 && std::floor(x) == x; })),
                ErrorCode::kData,
                "[balance::{}] the saved state's '{}' must hold {} {}; got {}.",
                method,
                key,
                size,
                counts ? "whole numbers" : "numbers",
                state.at(key).dump());
  return values;
}

std::size_t state_size(const Json& state, const char* key, const char* method) {
  const std::int64_t value = state_integer(state, key, where_of(method));
  DETENTE_CHECK(value >= 1,
                ErrorCode::kData,
                "[balance::{}] the saved state's '{}' must be >= 1; got {}.",
                method,
                key,
                value);
  return static_cast<std::size_t>(value);
}

}  // namespace detente::balance::internal
