#include "picture.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include <jpeglib.h>

namespace {

struct decoded {
  unsigned width = 0, height = 0;
  std::vector<unsigned char> rgb;
  const unsigned char* at(int x, int y) const { return &rgb[(std::size_t(y) * width + std::size_t(x)) * 3]; }
};

decoded decode(const char* path) {
  decoded out;
  FILE* in = std::fopen(path, "rb");
  jpeg_decompress_struct d{};
  jpeg_error_mgr errors{};
  d.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&d);
  jpeg_stdio_src(&d, in);
  jpeg_read_header(&d, TRUE);
  jpeg_start_decompress(&d);
  out.width = d.output_width;
  out.height = d.output_height;
  out.rgb.resize(std::size_t(d.output_width) * d.output_height * 3);
  while (d.output_scanline < d.output_height) {
    JSAMPROW row = &out.rgb[std::size_t(d.output_scanline) * d.output_width * 3];
    jpeg_read_scanlines(&d, &row, 1);
  }
  jpeg_finish_decompress(&d);
  EXPECT_EQ(errors.num_warnings, 0);
  jpeg_destroy_decompress(&d);
  std::fclose(in);
  return out;
}

class picture : public testing::Test {
 protected:
  picture() { ::close(::mkstemp(path_)); }
  ~picture() override { ::unlink(path_); }
  char path_[32] = "/tmp/evp-picture-XXXXXX";
};

TEST_F(picture, is_a_jpeg_that_shows_the_gradient_and_the_disc) {
  ASSERT_EQ(write_picture(path_, 0), 0);
  const auto p = decode(path_);
  EXPECT_EQ(p.width, 640u);
  EXPECT_EQ(p.height, 360u);
  EXPECT_LT(p.at(5, 350)[0], 40);
  EXPECT_GT(p.at(635, 350)[0], 215);
  EXPECT_GT(p.at(60, 200)[0], 220);  // the disc's centre in frame 0: yellow
  EXPECT_LT(p.at(60, 200)[2], 100);
}

TEST_F(picture, changes_from_frame_to_frame) {
  ASSERT_EQ(write_picture(path_, 1), 0);
  const auto a = decode(path_);
  ASSERT_EQ(write_picture(path_, 2), 0);
  EXPECT_NE(a.rgb, decode(path_).rgb);
}

TEST_F(picture, says_why_it_cannot_be_written) { EXPECT_EQ(write_picture("/nonexistent/x.jpg", 1), ENOENT); }

}  // namespace
