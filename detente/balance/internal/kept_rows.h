// SPDX-License-Identifier: Apache-2.0
// State of the size of the gradients: rows of p numbers kept between steps in the number type of
// the gradients, saved as a StateArray.
#pragma once

#include <detente/balance/internal/coordinates.h>
#include <detente/balance/method.h>

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace detente::balance::internal {

class KeptRows {
 public:
  explicit KeptRows(const char* name) : name_(name) {}

  const char* name() const { return name_; }
  bool empty() const { return rows_ == 0; }
  std::size_t rows() const { return rows_; }
  void clear();

  // Makes `rows` rows of `cols` zeros of type T in the first step of a method; in later ones (when
  // `started`) checks that the state is of that size (kShape), of that type (kInvalidArgument) and
  // there at all (kData: load_state() without load_state_arrays()).
  template <class T>
  void fit(std::size_t rows, std::size_t cols, bool started, const char* method);

  // After fit<T>().
  template <class T>
  std::span<T> row(std::size_t i) {
    return {std::get<std::vector<T>>(values_).data() + i * cols_, cols_};
  }

  StateArray save() const { return {name_, {rows_, cols_}, values_}; }

 private:
  friend void load_rows(std::vector<StateArray> arrays,
                        const std::vector<KeptRows*>& into,
                        std::size_t tasks,
                        const char* method);

  const char* name_;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  std::variant<std::vector<float>, std::vector<double>> values_;
};

// Nothing before the first step.
std::vector<StateArray> save_rows(const std::vector<KeptRows*>& from);

// Fills `into` from the arrays of the same names; throws kData unless exactly those are there, of
// one type and number of columns, with one row or one per task. `tasks` = 0 (no step was taken when
// the state was saved) expects none.
void load_rows(std::vector<StateArray> arrays,
               const std::vector<KeptRows*>& into,
               std::size_t tasks,
               const char* method);

// A method of class J with rows kept between steps: saves and loads those that its constructor
// names, members of Derived.
template <class Derived>
class KeptRowsMethod : public CoordinateMethod<Derived> {
 public:
  KeptRowsMethod(const KeptRowsMethod&) = delete;
  KeptRowsMethod& operator=(const KeptRowsMethod&) = delete;

  std::vector<StateArray> state_arrays() const override { return save_rows(rows_); }
  void load_state_arrays(std::vector<StateArray> arrays) override {
    load_rows(std::move(arrays), rows_, tasks_, this->name());
  }

 protected:
  explicit KeptRowsMethod(std::initializer_list<KeptRows*> rows) : rows_(rows) {}

  std::size_t tasks_ = 0;  // in all; 0 before the first step

 private:
  std::vector<KeptRows*> rows_;
};

// A list of `size` numbers of a saved state, none negative when `counts`; kData otherwise.
std::vector<double> state_list(
    const Json& state, const char* key, std::size_t size, bool counts, const char* method);
// A whole number >= 1; kData otherwise.
std::size_t state_size(const Json& state, const char* key, const char* method);

}  // namespace detente::balance::internal
