// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/slides/openslide.h>
#include <detente/slides/openslide_places.h>
#include <dlfcn.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

namespace detente::slides {

// openslide.h's, with its handles and caches as void*.
struct OpenSlideLibrary::Functions {
  void* library = nullptr;
  void* (*open)(const char*) = nullptr;
  void (*close)(void*) = nullptr;
  const char* (*get_error)(void*) = nullptr;
  const char* (*get_version)() = nullptr;
  std::int32_t (*get_level_count)(void*) = nullptr;
  void (*get_level_dimensions)(void*, std::int32_t, std::int64_t*, std::int64_t*) = nullptr;
  double (*get_level_downsample)(void*, std::int32_t) = nullptr;
  void (*read_region)(void*,
                      std::uint32_t*,
                      std::int64_t,
                      std::int64_t,
                      std::int32_t,
                      std::int64_t,
                      std::int64_t) = nullptr;
  const char* const* (*get_property_names)(void*) = nullptr;
  const char* (*get_property_value)(void*, const char*) = nullptr;
  const char* const* (*get_associated_image_names)(void*) = nullptr;
  void (*get_associated_image_dimensions)(void*,
                                          const char*,
                                          std::int64_t*,
                                          std::int64_t*) = nullptr;
  void (*read_associated_image)(void*, const char*, std::uint32_t*) = nullptr;
  // Of 4.0.
  void* (*cache_create)(std::size_t) = nullptr;
  void (*set_cache)(void*, void*) = nullptr;
  void (*cache_release)(void*) = nullptr;
};

namespace {

// A number as OpenSlide writes it, whatever the locale; 0 for what is none or no measure.
double positive_number(const char* text) {
  if (text == nullptr) return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  return error == std::errc() && std::isfinite(value) && value > 0 ? value : 0;
}

}  // namespace

OpenSlideLibrary::OpenSlideLibrary() {
  std::string tried;
  std::string cure;
  for (const std::string& place : openslide_places()) {
    functions_ = std::make_unique<Functions>();
    const std::string message = try_place(place);
    if (message.empty()) return;
    const LoadProblem problem = explain_load_failure(place, message);
    const bool absent = problem.cure == openslide_install_lines();
    tried += fmt::format("\n  {}: {}{}", place, problem.cause, absent ? "" : " (" + message + ")");
    // Something that is there but does not fit says more than what is not there.
    if (cure.empty() || !absent) cure = problem.cure;
  }
  fail(ErrorCode::kUnsupported,
       "[slides::OpenSlideLibrary] OpenSlide's library, which reads slides, cannot be loaded. "
       "Tried:{}\n"
       "What to do: {}.",
       tried,
       cure);
}

OpenSlideLibrary::~OpenSlideLibrary() {
  // It stays loaded: GLib, which it uses, does not bear to be unloaded.
}

// Empty where it loads, else the reason.
std::string OpenSlideLibrary::try_place(const std::string& place) {
  Functions& f = *functions_;
  f.library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (f.library == nullptr) {
    const char* text = ::dlerror();
    return text == nullptr ? "dlopen failed" : text;
  }
  const char* missing = nullptr;
  const auto find = [&](auto& function, const char* name, bool needed = true) {
    void* const symbol = ::dlsym(f.library, name);
    std::memcpy(&function, &symbol, sizeof symbol);
    if (symbol == nullptr && needed && missing == nullptr) missing = name;
  };
  find(f.open, "openslide_open");
  find(f.close, "openslide_close");
  find(f.get_error, "openslide_get_error");
  find(f.get_version, "openslide_get_version");
  find(f.get_level_count, "openslide_get_level_count");
  find(f.get_level_dimensions, "openslide_get_level_dimensions");
  find(f.get_level_downsample, "openslide_get_level_downsample");
  find(f.read_region, "openslide_read_region");
  find(f.get_property_names, "openslide_get_property_names");
  find(f.get_property_value, "openslide_get_property_value");
  find(f.get_associated_image_names, "openslide_get_associated_image_names");
  find(f.get_associated_image_dimensions, "openslide_get_associated_image_dimensions");
  find(f.read_associated_image, "openslide_read_associated_image");
  find(f.cache_create, "openslide_cache_create", false);
  find(f.set_cache, "openslide_set_cache", false);
  find(f.cache_release, "openslide_cache_release", false);
  if (missing != nullptr) {
    return fmt::format("undefined symbol: {}: it is no OpenSlide, or one before 3.4", missing);
  }
  Dl_info where{};
  void* symbol = nullptr;
  std::memcpy(&symbol, &f.open, sizeof symbol);
  file_ = ::dladdr(symbol, &where) != 0 && where.dli_fname != nullptr ? where.dli_fname : place;
  return {};
}

std::string OpenSlideLibrary::version() const {
  const char* text = functions_->get_version();
  return text == nullptr ? "unknown" : text;
}

bool OpenSlideLibrary::has_shared_cache() const {
  const Functions& f = *functions_;
  return f.cache_create != nullptr && f.set_cache != nullptr && f.cache_release != nullptr;
}

OpenSlideCache::OpenSlideCache(const OpenSlideLibrary& library, std::size_t bytes)
    : library_(library) {
  if (library.has_shared_cache()) cache_ = library.functions().cache_create(bytes);
}

OpenSlideCache::~OpenSlideCache() {
  if (cache_ != nullptr) library_.functions().cache_release(cache_);
}

OpenSlideFile::OpenSlideFile(const OpenSlideLibrary& library,
                             const OpenSlideCache& cache,
                             const std::string& file)
    : library_(library) {
  const auto& f = library.functions();
  handle_ = f.open(file.c_str());
  DETENTE_CHECK(
      handle_ != nullptr,
      ErrorCode::kData,
      "it is no slide: OpenSlide {} knows no such format. Expected e.g. an Aperio .svs, a "
      "Hamamatsu .ndpi, or a tiled TIFF",
      library.version());
  try {
    check();
    if (cache.get() != nullptr) f.set_cache(handle_, cache.get());
    const std::int32_t levels = f.get_level_count(handle_);
    check();
    DETENTE_CHECK(levels >= 1 && static_cast<std::size_t>(levels) <= kMostLevels,
                  ErrorCode::kData,
                  "it has {} levels; expected 1 to {}",
                  levels,
                  kMostLevels);
    for (std::int32_t level = 0; level < levels; ++level) {
      downsamples_.push_back(f.get_level_downsample(handle_, level));
      check();
      DETENTE_CHECK(std::isfinite(downsamples_.back()) && downsamples_.back() > 0,
                    ErrorCode::kData,
                    "level {} has a downsample of {}",
                    level,
                    downsamples_.back());
    }
    const char* color = property("openslide.background-color");
    if (color != nullptr && std::strlen(color) == 6) {
      std::from_chars(color, color + 6, background_, 16);
    }
  } catch (...) {
    f.close(handle_);
    throw;
  }
}

OpenSlideFile::~OpenSlideFile() { library_.functions().close(handle_); }

void OpenSlideFile::check() const {
  const char* error = library_.functions().get_error(handle_);
  // Messages may hold bytes of the file.
  if (error != nullptr) {
    fail(ErrorCode::kData, "OpenSlide says: {}", std::string_view(error).substr(0, 1000));
  }
}

const char* OpenSlideFile::property(const char* name) const {
  const char* value = library_.functions().get_property_value(handle_, name);
  check();
  return value;
}

SlideInfo OpenSlideFile::info() const {
  const auto& f = library_.functions();
  SlideInfo info;
  info.background = background_;
  const auto fits = [](std::int64_t width, std::int64_t height) {
    return width >= 1 && height >= 1 && width <= kLongestSide && height <= kLongestSide;
  };
  for (std::size_t i = 0; i < downsamples_.size(); ++i) {
    Level level{.downsample = downsamples_[i]};
    f.get_level_dimensions(handle_, static_cast<std::int32_t>(i), &level.width, &level.height);
    check();
    DETENTE_CHECK(fits(level.width, level.height),
                  ErrorCode::kData,
                  "level {} is of {} x {} pixels; expected sides of 1 to 2^40",
                  i,
                  level.width,
                  level.height);
    info.levels.push_back(level);
  }
  const char* vendor = property("openslide.vendor");
  info.vendor = vendor == nullptr ? "" : std::string(vendor).substr(0, 256);
  info.mpp_x = positive_number(property("openslide.mpp-x"));
  info.mpp_y = positive_number(property("openslide.mpp-y"));
  // 3.4 leaves a TIFF's resolution as it stands in the file.
  if (info.vendor == "generic-tiff" && info.mpp_x == 0 && info.mpp_y == 0) {
    const char* unit = property("tiff.ResolutionUnit");
    if (unit != nullptr && std::string_view(unit) == "centimeter") {
      const double across = positive_number(property("tiff.XResolution"));
      const double down = positive_number(property("tiff.YResolution"));
      if (across > 0) info.mpp_x = 1e4 / across;
      if (down > 0) info.mpp_y = 1e4 / down;
    }
  }
  info.objective_power = positive_number(property("openslide.objective-power"));
  const char* const* names = f.get_associated_image_names(handle_);
  check();
  std::size_t left_out = 0;
  for (; names != nullptr && *names != nullptr; ++names) {
    AssociatedImage image{.name = *names};
    f.get_associated_image_dimensions(handle_, *names, &image.width, &image.height);
    check();
    if (info.associated.size() == kMostAssociated || image.name.size() > 256 ||
        !fits(image.width, image.height)) {
      ++left_out;
      continue;
    }
    info.associated.push_back(std::move(image));
  }
  names = f.get_property_names(handle_);
  check();
  std::size_t bytes = 0;
  for (; names != nullptr && *names != nullptr; ++names) {
    const char* value = property(*names);
    const std::string_view name = *names;
    const std::string_view text =
        std::string_view(value == nullptr ? "" : value).substr(0, kLongestProperty);
    bytes += name.size() + text.size();
    if (info.properties.size() == kMostProperties || name.size() > 1024 ||
        bytes > kMostPropertyBytes) {
      ++left_out;
      bytes -= name.size() + text.size();
      continue;
    }
    info.properties.emplace(name, text);
  }
  if (left_out > 0) info.properties["detente.left-out"] = std::to_string(left_out);
  return info;
}

void OpenSlideFile::read(std::span<std::uint32_t> pixels,
                         std::int64_t x,
                         std::int64_t y,
                         int level,
                         std::int64_t width,
                         std::int64_t height) const {
  DETENTE_DCHECK(static_cast<std::int64_t>(pixels.size()) == width * height);
  library_.functions().read_region(handle_, pixels.data(), x, y, level, width, height);
  check();
}

void OpenSlideFile::read_associated(std::span<std::uint32_t> pixels,
                                    const std::string& name,
                                    std::int64_t width,
                                    std::int64_t height) const {
  const auto& f = library_.functions();
  std::int64_t actual_width = -1;
  std::int64_t actual_height = -1;
  f.get_associated_image_dimensions(handle_, name.c_str(), &actual_width, &actual_height);
  check();
  DETENTE_CHECK(actual_width == width && actual_height == height,
                ErrorCode::kInvalidArgument,
                "it has no picture '{}' of {} x {} pixels beside the slide",
                name,
                width,
                height);
  DETENTE_DCHECK(static_cast<std::int64_t>(pixels.size()) == width * height);
  f.read_associated_image(handle_, name.c_str(), pixels.data());
  check();
}

}  // namespace detente::slides
