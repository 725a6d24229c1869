// SPDX-License-Identifier: Apache-2.0
// OpenSlide (openslide.org), through its C interface, from a library that is opened at run time: nothing is
// linked with it, and 3.4 (Debian's, libopenslide.so.0) does as well as 4.x (libopenslide.so.1).
// Slides of strangers make such libraries crash: only the worker program opens it (slide_worker.h).
//
// OpenSlide's errors stick: after any call the handle may be dead, and what is asked of it then is cleared
// memory. Each function here looks, and throws kData with OpenSlide's words; the handle is of no use then.
#pragma once

#include <detente/slides/slide.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::slides {

class OpenSlideLibrary {
 public:
  // The first of openslide_places() that loads. Throws kUnsupported where none does: each place, its cause and
  // the cure.
  OpenSlideLibrary();
  ~OpenSlideLibrary();
  OpenSlideLibrary(const OpenSlideLibrary&) = delete;
  OpenSlideLibrary& operator=(const OpenSlideLibrary&) = delete;

  struct Functions;
  const Functions& functions() const { return *functions_; }
  std::string version() const;  // "4.0.1", "3.4.1"
  // Where it was loaded from, the whole path where the system says.
  const std::string& file() const { return file_; }
  // Whether handles can share a cache (4.0); else each has 32 MiB of its own.
  bool has_shared_cache() const;

 private:
  std::string try_place(const std::string& place);

  std::unique_ptr<Functions> functions_;
  std::string file_;
};

// Decoded tiles that several handles share; does nothing where the library has none.
class OpenSlideCache {
 public:
  OpenSlideCache(const OpenSlideLibrary& library, std::size_t bytes);
  ~OpenSlideCache();
  OpenSlideCache(const OpenSlideCache&) = delete;
  OpenSlideCache& operator=(const OpenSlideCache&) = delete;
  void* get() const { return cache_; }

 private:
  const OpenSlideLibrary& library_;
  void* cache_ = nullptr;
};

// Limits on what a file says of itself. What is longer is cut, what is more is left out, and the property
// "detente.left-out" says how many.
inline constexpr std::size_t kMostLevels = 64;
inline constexpr std::size_t kMostAssociated = 64;
inline constexpr std::size_t kMostProperties = 4096;
inline constexpr std::size_t kLongestProperty = std::size_t{1} << 16;
inline constexpr std::size_t kMostPropertyBytes = std::size_t{1} << 21;
// Of a side, in pixels.
inline constexpr std::int64_t kLongestSide = std::int64_t{1} << 40;

class OpenSlideFile {
 public:
  // Throws kData where it is no slide or a damaged one.
  OpenSlideFile(const OpenSlideLibrary& library,
                const OpenSlideCache& cache,
                const std::string& file);
  ~OpenSlideFile();
  OpenSlideFile(const OpenSlideFile&) = delete;
  OpenSlideFile& operator=(const OpenSlideFile&) = delete;

  // Throws kData for what cannot be: no levels, sides below 1.
  SlideInfo info() const;
  std::size_t levels() const { return downsamples_.size(); }
  // Of a level that is there.
  double downsample(int level) const { return downsamples_[static_cast<std::size_t>(level)]; }
  std::uint32_t background() const { return background_; }

  // Premultiplied ARGB, a word per pixel; x and y in pixels of level 0, the rest in pixels of the level.
  void read(std::span<std::uint32_t> pixels,
            std::int64_t x,
            std::int64_t y,
            int level,
            std::int64_t width,
            std::int64_t height) const;
  // Throws kInvalidArgument where there is none of that name and size.
  void read_associated(std::span<std::uint32_t> pixels,
                       const std::string& name,
                       std::int64_t width,
                       std::int64_t height) const;

 private:
  void check() const;
  const char* property(const char* name) const;

  const OpenSlideLibrary& library_;
  void* handle_ = nullptr;
  std::vector<double> downsamples_;
  std::uint32_t background_ = 0xffffff;
};

}  // namespace detente::slides
