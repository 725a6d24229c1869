// SPDX-License-Identifier: Apache-2.0
// How fast tables are read, on one core, in bytes of the file per second.
#include <benchmark/benchmark.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/data/table.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <string>

namespace detente::data {
namespace {

// `columns` numbers a row, as many rows as make `bytes`.
std::string numbers_csv(std::size_t bytes, std::size_t columns, bool quoted) {
  Rng rng(0);
  const char* format = quoted ? "\"{:.6g}\"" : "{:.6g}";
  std::string text;
  text.reserve(bytes + 64 * columns);
  for (std::size_t j = 0; j < columns; ++j) text += fmt::format("{}x{}", j > 0 ? "," : "", j);
  text += '\n';
  while (text.size() < bytes) {
    for (std::size_t j = 0; j < columns; ++j) {
      if (j > 0) text += ',';
      fmt::format_to(std::back_inserter(text), fmt::runtime(format), rng.normal());
    }
    text += '\n';
  }
  return text;
}

// A file of 200 MB with 20 columns; the argument: whether fields are quoted.
class TableFile : public benchmark::Fixture {
 public:
  void SetUp(const benchmark::State& state) override {
    path_ = std::filesystem::temp_directory_path() / fmt::format("detente-{}.csv", ::getpid());
    const std::string text = numbers_csv(200'000'000, 20, state.range(0) != 0);
    bytes_ = static_cast<std::int64_t>(text.size());
    write_file_atomic(path_, text);
  }
  void TearDown(const benchmark::State& /*state*/) override { std::filesystem::remove(path_); }

 protected:
  std::filesystem::path path_;
  std::int64_t bytes_ = 0;
};

BENCHMARK_DEFINE_F(TableFile, Read)(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Table::read(path_).rows());
  state.SetBytesProcessed(state.iterations() * bytes_);
}
BENCHMARK_REGISTER_F(TableFile, Read)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

BENCHMARK_DEFINE_F(TableFile, NumericColumns)(benchmark::State& state) {
  const Table table = Table::read(path_);
  for (auto _ : state) {
    for (const std::string& name : table.column_names()) {
      benchmark::DoNotOptimize(table.numeric_column(name).back());
    }
  }
  state.SetBytesProcessed(state.iterations() * bytes_);
}
BENCHMARK_REGISTER_F(TableFile, NumericColumns)->Arg(0)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace detente::data

BENCHMARK_MAIN();
