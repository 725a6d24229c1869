// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/npy.h>
#include <detente/data/parallel_rows.h>
#include <detente/data/whitening.h>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

namespace detente::data {
namespace {

constexpr const char* kWhiteningFormat = "detente-whitening-1";
constexpr std::size_t kMostValues = 8192;
constexpr double kNoContrast = 1e-10;  // a norm below is rounding
// Images, and columns of the covariance, that one product is made of.
constexpr std::size_t kImagesAtOnce = 256;
constexpr std::size_t kColumnsAtOnce = 128;

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Images = Eigen::Map<Rows>;
using ConstImages = Eigen::Map<const Rows>;
using Index = Eigen::Index;

std::filesystem::path options_file(const std::filesystem::path& run) {
  return run / "whitening.json";
}
std::filesystem::path matrix_file(const std::filesystem::path& run) {
  return run / "whitening.npy";
}

// body(first image, their number) for all parts.
template <class Body>
void for_each_part(std::size_t count, std::size_t at_once, int threads, const Body& body) {
  for_each_row((count + at_once - 1) / at_once, threads, [&](std::size_t part) {
    const std::size_t first = part * at_once;
    body(first, std::min(at_once, count - first));
  });
}

void normalise_contrast(std::span<float> image, double norm) {
  double mean = 0;
  for (const float value : image) mean += value;
  mean /= static_cast<double>(image.size());
  double squares = 0;
  for (const float value : image) squares += (value - mean) * (value - mean);
  const double length = std::sqrt(squares);
  const double factor = length < kNoContrast ? 1.0 : norm / length;
  for (float& value : image) value = static_cast<float>((value - mean) * factor);
}

// Lower triangle. Each block of columns is one thread's, whose sums run over the images in their order.
Eigen::MatrixXd covariance(const ConstImages& images, const Eigen::VectorXd& mean, int threads) {
  const auto size = static_cast<std::size_t>(images.cols());
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(images.cols(), images.cols());
  for_each_part(size, kColumnsAtOnce, threads, [&](std::size_t first, std::size_t columns) {
    const auto begin = static_cast<Index>(first);
    const auto width = static_cast<Index>(columns);
    const Index rest = images.cols() - begin;
    for (Index row = 0; row < images.rows(); row += static_cast<Index>(kImagesAtOnce)) {
      const Index n = std::min(static_cast<Index>(kImagesAtOnce), images.rows() - row);
      Eigen::MatrixXd some = images.block(row, begin, n, rest).cast<double>();
      some.rowwise() -= mean.tail(rest).transpose();
      sum.block(begin, begin, rest, width).noalias() += some.transpose() * some.leftCols(width);
    }
  });
  return sum / static_cast<double>(images.rows() - 1);
}

}  // namespace

void WhiteningOptions::describe(FieldVisitor& visitor) {
  visitor.number("contrast",
                 contrast,
                 {.min = 0, .max = 1e6},
                 "Global contrast normalisation: of each image its mean is taken away and the rest "
                 "scaled to this norm (published for CIFAR-10: 55). 0: each channel has the mean 0 "
                 "and the deviation 1 over the training images instead.");
  visitor.number("zca",
                 zca,
                 {.min = 0, .max = 1e6},
                 "Whiten images by the covariance of the training images plus this in each "
                 "direction (published: 0.1), after contrast; 0: no. Costs minutes at the start "
                 "for 50,000 images of 32 x 32 colours.");
}

Whitening Whitening::fit(const WhiteningOptions& options,
                         std::span<float> images,
                         std::size_t size,
                         int threads) {
  Whitening fitted;
  fitted.options_ = options;
  fitted.size_ = size;
  if (options.zca > 0) {
    const std::size_t count = images.size() / size;
    DETENTE_CHECK(count >= 2,
                  ErrorCode::kData,
                  "[data::Whitening] 'data.zca' whitens by the covariance of the training images; "
                  "expected two or more, got {}.",
                  count);
    DETENTE_CHECK(
        size <= kMostValues,
        ErrorCode::kInvalidArgument,
        "[data::Whitening] 'data.zca' for images of {} numbers takes a matrix of {} x {}; "
        "expected at most {} numbers. Set data.size to make the images smaller.",
        size,
        size,
        size,
        kMostValues);
    // On the images as the second step gets them.
    Whitening first;
    first.options_.contrast = options.contrast;
    first.size_ = size;
    first.apply(images, threads);
    const ConstImages all(images.data(), static_cast<Index>(count), static_cast<Index>(size));
    Eigen::VectorXd mean = Eigen::VectorXd::Zero(all.cols());
    for (Index row = 0; row < all.rows(); ++row) mean += all.row(row).cast<double>().transpose();
    mean /= static_cast<double>(count);
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(covariance(all, mean, threads));
    DETENTE_CHECK(eigen.info() == Eigen::Success,
                  ErrorCode::kNumeric,
                  "[data::Whitening] the covariance of the training images has no eigenvectors "
                  "that can be found; is there an image of numbers that are none?");
    const Eigen::VectorXd root =
        (eigen.eigenvalues().array().max(0.0) + options.zca).rsqrt().matrix();
    const Eigen::MatrixXd half = eigen.eigenvectors() * root.cwiseSqrt().asDiagonal();
    fitted.matrix_.resize(size * size);
    Images(fitted.matrix_.data(), all.cols(), all.cols()) = (half * half.transpose()).cast<float>();
    fitted.mean_.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      fitted.mean_[i] = static_cast<float>(mean[static_cast<Index>(i)]);
    }
    Whitening second = fitted;
    second.options_.contrast = 0;
    second.apply(images, threads);
    return fitted;
  }
  fitted.apply(images, threads);
  return fitted;
}

void Whitening::apply(std::span<float> images, int threads) const {
  DETENTE_CHECK(size_ > 0 && images.size() % size_ == 0,
                ErrorCode::kShape,
                "[data::Whitening] {} numbers are no whole images of {}.",
                images.size(),
                size_);
  for_each_part(images.size() / size_, kImagesAtOnce, threads, [&](std::size_t at, std::size_t n) {
    const std::span<float> some = images.subspan(at * size_, n * size_);
    if (options_.contrast > 0) {
      for (std::size_t i = 0; i < n; ++i) {
        normalise_contrast(some.subspan(i * size_, size_), options_.contrast);
      }
    }
    if (matrix_.empty()) return;
    const auto size = static_cast<Index>(size_);
    const Eigen::Map<const Eigen::RowVectorXf> mean(mean_.data(), size);
    const ConstImages matrix(matrix_.data(), size, size);
    Images part(some.data(), static_cast<Index>(n), size);
    const Rows centred = part.rowwise() - mean;
    part.noalias() = centred * matrix;
  });
}

void Whitening::save(const std::filesystem::path& run) const {
  const Json json{
      {"format", kWhiteningFormat}, {"contrast", options_.contrast}, {"zca", options_.zca}};
  write_own_file(options_file(run), json.dump(1) + "\n");
  if (matrix_.empty()) return;
  std::vector<float> all = mean_;
  all.insert(all.end(), matrix_.begin(), matrix_.end());
  write_npy(matrix_file(run), {size_ + 1, size_}, all.data());
}

std::shared_ptr<const Whitening> Whitening::load(const std::filesystem::path& run,
                                                 std::size_t size) {
  if (!std::filesystem::exists(options_file(run))) return nullptr;
  const Json json = Json::parse(read_file(options_file(run)), nullptr, false);
  const auto number = [&](const char* key) {
    const bool good = json.is_object() && json.contains(key) && json[key].is_number();
    return good ? json[key].get<double>() : -1.0;
  };
  auto loaded = std::make_shared<Whitening>();
  loaded->options_ = {number("contrast"), number("zca")};
  loaded->size_ = size;
  bool good = json.is_object() && json.value("format", Json()) == kWhiteningFormat &&
              loaded->options_.contrast >= 0 && loaded->options_.zca >= 0 && loaded->options_.any();
  if (good && loaded->options_.zca > 0) {
    const NpyArray all = read_npy(matrix_file(run));
    good = all.shape == std::vector<std::size_t>{size + 1, size} &&
           std::all_of(
               all.values.begin(), all.values.end(), [](double v) { return std::isfinite(v); });
    if (good) {
      const auto middle = all.values.begin() + static_cast<std::ptrdiff_t>(size);
      loaded->mean_.assign(all.values.begin(), middle);
      loaded->matrix_.assign(middle, all.values.end());
    }
  }
  DETENTE_CHECK(good,
                ErrorCode::kData,
                "[data::Whitening] '{}' or '{}' is damaged, of another version or of other images; "
                "expected {} for images of {} numbers.",
                options_file(run).string(),
                matrix_file(run).string(),
                kWhiteningFormat,
                size);
  return loaded;
}

}  // namespace detente::data
