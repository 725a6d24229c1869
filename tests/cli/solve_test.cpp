// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/registry.h>
#include <detente/core/npy.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/run_cli.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tolerances.h"

namespace detente::cli {
namespace {

using namespace detente::test;
using testing::HasSubstr;

class SolveCommand : public testing::Test {
 protected:
  std::string save(const std::string& name, const Matrix& matrix) const {
    write_npy(dir_.file(name), {matrix.rows(), matrix.cols()}, matrix.data());
    return dir_.file(name);
  }
  std::string save(const std::string& name, const std::vector<double>& values) const {
    write_npy(dir_.file(name), {values.size()}, values.data());
    return dir_.file(name);
  }
  // A .npy file with any header, to be wrong in.
  std::string save_raw(const std::string& name,
                       const std::string& descr,
                       const std::string& shape,
                       const std::string& data) const {
    std::string header =
        "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
    header.append(117 - header.size(), ' ');
    header += '\n';
    return dir_.write(name,
                      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) +
                          '\0' + header + data);
  }
  void expect_error(const std::vector<std::string>& args, int code, const std::string& text) const {
    const CliRun run = run_cli(args);
    EXPECT_EQ(run.exit_code, code) << run.err;
    EXPECT_THAT(run.err, HasSubstr(text));
    EXPECT_TRUE(run.out.empty()) << run.out;
  }

  TempDir dir_;
  const Matrix jacobian_ = matrix_of({{1, 0, 0.5}, {-0.6, 1, 0}, {0.2, -0.9, 1}});
};

TEST_F(SolveCommand, PrintsTheLibrarysAnswerAsJson) {
  const std::string file = save("J.npy", jacobian_);
  const CliRun run =
      run_cli({"solve", "--method", "cagrad", "--set", "c=0.7", "--jacobian", file, "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json json = run.json();
  const Matrix gram = gram_of(jacobian_);
  const auto w = balance::cagrad(gram, {.c = 0.7}).weights;
  EXPECT_EQ(json.at("method"), "cagrad");
  EXPECT_EQ(json.at("options").at("c"), 0.7);
  EXPECT_EQ(json.at("options").at("rescale"), "none");
  EXPECT_EQ(json.at("weights").get<std::vector<double>>(), w);
  const auto d = direction_of(jacobian_, w);
  EXPECT_NEAR(json.at("direction_norm").get<double>(), norm_of(d), kRounding);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(json.at("alignment").at(i).get<double>(), dot(row_of(jacobian_, i), d), kRounding);
    for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(json.at("gram").at(i).at(j), gram(i, j));
  }
  EXPECT_EQ(json.at("stop"), "converged");
  EXPECT_GT(json.at("iterations").get<int>(), 0);
  EXPECT_LE(json.at("certificate").get<double>(), kCertificate);
}

TEST_F(SolveCommand, GivesTheSameWeightsFromTheGramMatrix) {
  const std::string j = save("J.npy", jacobian_);
  const std::string g = save("G.npy", gram_of(jacobian_));
  const std::string l = save("L.npy", std::vector<double>{1, 2, 3});
  for (const auto& info : balance::registry()) {
    if (info.method_class == balance::MethodClass::kCoordinates) continue;
    const std::string& method = info.name;
    SCOPED_TRACE(method);
    const CliRun a =
        run_cli({"solve", "--method", method, "--jacobian", j, "--losses", l, "--json"});
    const CliRun b = run_cli({"solve", "--method", method, "--gram", g, "--losses", l, "--json"});
    ASSERT_EQ(a.exit_code, 0) << a.err;
    ASSERT_EQ(b.exit_code, 0) << b.err;
    EXPECT_EQ(a.json().at("weights"), b.json().at("weights"));
    EXPECT_NEAR(a.json().at("direction_norm").get<double>(),
                b.json().at("direction_norm").get<double>(),
                kAccumulated * a.json().at("direction_norm").get<double>());
  }
}

TEST_F(SolveCommand, GivesTheDirectionOfMethodsOfClassJ) {
  const std::string j = save("J.npy", jacobian_);
  const std::string l = save("L.npy", std::vector<double>{1, 2, 3});
  const std::string out = dir_.file("d.npy");
  const std::vector<double> losses = {1, 2, 3};
  int methods = 0;
  for (const auto& info : balance::registry()) {
    if (info.method_class != balance::MethodClass::kCoordinates) continue;
    SCOPED_TRACE(info.name);
    ++methods;
    const CliRun run = run_cli({"solve",
                                "--method",
                                info.name,
                                "--jacobian",
                                j,
                                "--losses",
                                l,
                                "--seed",
                                "4",
                                "--out",
                                out,
                                "--json"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    Rng rng(4);
    balance::Result result;
    const auto method = info.make();
    const auto d = take_step(*method, jacobian_, losses, &rng, result);
    EXPECT_EQ(read_npy_vector(out), d);
    const Json json = run.json();
    EXPECT_EQ(json.at("weights").get<std::vector<double>>(), result.weights);
    EXPECT_NEAR(json.at("direction_norm").get<double>(), norm_of(d), kRounding);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(
          json.at("alignment").at(i).get<double>(), dot(row_of(jacobian_, i), d), kRounding);
    }
    expect_error({"solve",
                  "--method",
                  info.name,
                  "--losses",
                  l,
                  "--gram",
                  save("G.npy", gram_of(jacobian_))},
                 2,
                 "expected --jacobian");
  }
  EXPECT_GT(methods, 0);
}

TEST_F(SolveCommand, TakesAGramMatrixWhereAnOptionMakesItEnough) {
  const std::string g = save("G.npy", gram_of(jacobian_));
  const std::string l = save("L.npy", std::vector<double>{1, 2, 3});
  const CliRun run = run_cli(
      {"solve", "--method", "db_mtl", "--set", "beta=0", "--gram", g, "--losses", l, "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.json().at("weights").size(), 3u);
}

TEST_F(SolveCommand, TossesTheCoinsOfGraddropBySeed) {
  const std::string j = save("J.npy", jacobian_);
  const auto norm = [&](const std::string& seed) {
    return run_cli({"solve", "--method", "graddrop", "--jacobian", j, "--seed", seed, "--json"})
        .json()
        .at("direction_norm");
  };
  EXPECT_EQ(norm("5"), norm("5"));
  bool differs = false;
  for (int seed = 0; seed < 20; ++seed) differs |= norm(std::to_string(seed)) != norm("5");
  EXPECT_TRUE(differs);
}

TEST_F(SolveCommand, ReadsFloat32) {
  std::string data(8 * sizeof(float), '\0');
  const float values[] = {1, 0, -0.5F, 0.25F, 0, 1, 1, 2};
  std::memcpy(data.data(), values, data.size());
  const CliRun run = run_cli({"solve",
                              "--method",
                              "mgda",
                              "--jacobian",
                              save_raw("f4.npy", "<f4", "(2, 4)", data),
                              "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.json().at("gram").at(0).at(1), -0.5 + 0.5);
  EXPECT_EQ(run.json().at("gram").at(1).at(1), 6.0);
}

TEST_F(SolveCommand, WritesTheDirection) {
  const std::string file = save("J.npy", jacobian_);
  const std::string out = dir_.file("d.npy");
  const CliRun run =
      run_cli({"solve", "--method", "mgda", "--jacobian", file, "--out", out, "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto d = read_npy_vector(out);
  const auto expected =
      direction_of(jacobian_, run.json().at("weights").get<std::vector<double>>());
  ASSERT_EQ(d.size(), expected.size());
  for (std::size_t p = 0; p < d.size(); ++p) EXPECT_NEAR(d[p], expected[p], kRounding);
}

TEST_F(SolveCommand, PrintsATableForPeople) {
  const CliRun run = run_cli(
      {"solve", "--method", "ew", "--jacobian", save("J.npy", matrix_of({{1, 0}, {-3, 1}}))});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("gets worse"));
  EXPECT_THAT(run.out, HasSubstr("improves"));
}

TEST_F(SolveCommand, RepeatsRandomMethodsBySeed) {
  const std::string file = save("J.npy", jacobian_);
  const auto weights = [&](const std::string& seed) {
    return run_cli({"solve", "--method", "pcgrad", "--jacobian", file, "--seed", seed, "--json"})
        .json()
        .at("weights");
  };
  EXPECT_EQ(weights("5"), weights("5"));
  bool differs = false;
  for (int seed = 0; seed < 20; ++seed) differs |= weights(std::to_string(seed)) != weights("5");
  EXPECT_TRUE(differs);
}

TEST_F(SolveCommand, AcceptsASingleTask) {
  const CliRun run = run_cli(
      {"solve", "--method", "cagrad", "--jacobian", save("J.npy", matrix_of({{3, 4}})), "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NEAR(run.json().at("weights").at(0).get<double>(), 1.4, kRounding);
}

TEST_F(SolveCommand, WritesNullForAMissingCertificate) {
  const CliRun run =
      run_cli({"solve", "--method", "ew", "--gram", save("G.npy", gram_of(jacobian_)), "--json"});
  EXPECT_TRUE(run.json().at("certificate").is_null());
}

TEST_F(SolveCommand, RefusesAnUnknownMethodOrOption) {
  const std::string g = save("G.npy", gram_of(jacobian_));
  expect_error({"solve", "--method", "mgdaa", "--gram", g}, 2, "Did you mean 'mgda'?");
  expect_error({"solve", "--method", "cagrad", "--set", "rescal=none", "--gram", g},
               2,
               "Did you mean 'rescale'?");
  expect_error({"solve", "--method", "cagrad", "--set", "c=-1", "--gram", g}, 2, "'c' must be");
  expect_error({"solve", "--method", "cagrad", "--set", "c", "--gram", g}, 2, "KEY=VALUE");
  expect_error({"solve", "--method", "cagrad", "--set", "rescale=one_plus_d", "--gram", g},
               2,
               "Did you mean 'one_plus_c'?");
}

TEST_F(SolveCommand, WantsExactlyOneOfJacobianAndGram) {
  const std::string j = save("J.npy", jacobian_);
  const std::string g = save("G.npy", gram_of(jacobian_));
  expect_error({"solve", "--method", "mgda"}, 2, "--jacobian");
  expect_error({"solve", "--method", "mgda", "--jacobian", j, "--gram", g}, 2, "--jacobian");
  expect_error({"solve", "--jacobian", j}, 2, "--method");
}

TEST_F(SolveCommand, WritesADirectionOnlyFromAJacobian) {
  expect_error({"solve",
                "--method",
                "mgda",
                "--gram",
                save("G.npy", gram_of(jacobian_)),
                "--out",
                dir_.file("d.npy")},
               2,
               "expected --jacobian");
}

TEST_F(SolveCommand, RefusesBadFiles) {
  const std::string eight(8, '\0');
  const auto solve = [](const std::string& file) {
    return std::vector<std::string>{"solve", "--method", "mgda", "--jacobian", file};
  };
  expect_error(solve(dir_.file("missing.npy")), 3, "No such file");
  expect_error(solve(dir_.write("empty.npy", "")), 3, "not a NumPy");
  expect_error(solve(dir_.write("text.npy", "1 2 3\n4 5 6\n")), 3, "not a NumPy");
  expect_error(solve(save_raw("int.npy", "<i8", "(1, 1)", eight)), 3, "astype('<f8')");
  expect_error(solve(save_raw("big.npy", ">f8", "(1, 1)", eight)), 3, "big-endian");
  expect_error(solve(save_raw("cut.npy", "<f8", "(2, 3)", eight)), 3, "needs 48 bytes");
  expect_error(solve(save_raw("long.npy", "<f8", "(1, 1)", eight + eight)), 3, "the file has 16");
  expect_error(solve(save("flat.npy", std::vector<double>{1, 2})), 3, "two dimensions");
  expect_error(solve(save_raw("huge.npy", "<f8", "(99999999999, 99999999999)", eight)),
               3,
               "needs more data");
}

TEST_F(SolveCommand, RefusesNoTask) {
  expect_error(
      {"solve", "--method", "mgda", "--jacobian", save("J.npy", Matrix(0, 4))}, 3, "no task");
  expect_error(
      {"solve", "--method", "uw", "--jacobian", save("J.npy", Matrix(0, 4))}, 3, "no task");
  expect_error(
      {"solve", "--method", "graddrop", "--jacobian", save("J.npy", Matrix(0, 4))}, 3, "no task");
}

TEST_F(SolveCommand, NamesTheRowThatIsNotFinite) {
  Matrix bad = jacobian_;
  bad(1, 2) = std::nan("");
  expect_error({"solve", "--method", "mgda", "--jacobian", save("J.npy", bad)}, 4, "row 1");
  bad(1, 2) = std::numeric_limits<double>::infinity();
  expect_error({"solve", "--method", "mgda", "--jacobian", save("J.npy", bad)}, 4, "row 1");
}

TEST_F(SolveCommand, RefusesWhatIsNoGramMatrix) {
  const auto solve = [&](const Matrix& gram) {
    return std::vector<std::string>{"solve", "--method", "mgda", "--gram", save("G.npy", gram)};
  };
  expect_error(solve(matrix_of({{1, 0, 0}, {0, 1, 0}})), 3, "is square; got 2x3");
  expect_error(solve(matrix_of({{1, 0.5}, {0.2, 1}})), 4, "symmetric");
  expect_error(solve(matrix_of({{1, 0}, {0, -2}})), 4, "negative");
  expect_error(solve(matrix_of({{1, std::nan("")}, {0, 1}})), 4, "finite");
  // Every pair is possible, the three together are not.
  expect_error(solve(matrix_of({{1, -0.9, -0.9}, {-0.9, 1, -0.9}, {-0.9, -0.9, 1}})),
               4,
               "positive semidefinite");
}

TEST_F(SolveCommand, ChecksTheLosses) {
  const std::string g = save("G.npy", gram_of(jacobian_));
  expect_error({"solve", "--method", "uw", "--gram", g}, 2, "--losses");
  expect_error({"solve",
                "--method",
                "mgda",
                "--gram",
                g,
                "--losses",
                save("L.npy", std::vector<double>{1, 2})},
               3,
               "2 losses");
  expect_error({"solve",
                "--method",
                "uw",
                "--gram",
                g,
                "--losses",
                save("L.npy", std::vector<double>{1, -2, 3})},
               4,
               "task 1");
  expect_error(
      {"solve", "--method", "mgda", "--set", "normalizer=loss+", "--gram", g}, 2, "--losses");
}

TEST_F(SolveCommand, ReportsAnUnwritableOutput) {
  expect_error({"solve",
                "--method",
                "mgda",
                "--jacobian",
                save("J.npy", jacobian_),
                "--out",
                dir_.file("no/such/folder/d.npy")},
               3,
               "No such file");
}

}  // namespace
}  // namespace detente::cli
