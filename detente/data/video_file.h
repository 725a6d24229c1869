// SPDX-License-Identifier: Apache-2.0
// Video files through FFmpeg's libraries, where the build found them (CMake option DETENTE_FFMPEG,
// docs/building.md). Their first video stream, without sound; a rotation in the file's head is not
// applied.
#pragma once

#include <detente/data/image.h>

#include <cstddef>
#include <filesystem>
#include <functional>

namespace detente::data {

// Whether this build reads video files.
bool can_read_video();

// The first picture and then every stride-th, or with fps > 0 for k = 0, 1, ... the first that is shown
// at k/fps seconds or later (one more than once where there are fewer), to `take` in their order, with
// red, green and blue. Throws kIo; kData, naming the file: no video, a damaged one, no picture, sides of
// more than kMostPixels; kUnsupported in a build without FFmpeg.
void read_video(const std::filesystem::path& path,
                std::size_t stride,
                double fps,
                const std::function<void(Image)>& take);

// By the ending: .mp4, .m4v, .mov, .webm, .mkv or .avi in any case.
bool has_video_name(const std::filesystem::path& path);

}  // namespace detente::data
