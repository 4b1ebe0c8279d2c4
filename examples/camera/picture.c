/* Drawing and encoding, with libjpeg-turbo. */
#include "picture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <jpeglib.h>

/* Digits of 5 x 7 dots, a row a byte, the leftmost dot the highest of five bits. */
static const unsigned char digits[10][7] = {
    {14, 17, 19, 21, 25, 17, 14}, {4, 12, 4, 4, 4, 4, 14},    {14, 17, 1, 2, 4, 8, 31},   {31, 2, 4, 2, 1, 17, 14},
    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14}, {6, 8, 16, 30, 17, 17, 14}, {31, 1, 2, 4, 8, 8, 8},
    {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15, 1, 2, 12},
};

static int in_number(unsigned long number, int x, int y) {
  enum { dot = 6, columns = 6, shown = 6 };
  const int column = (x - 20) / dot, row = (y - 20) / dot;
  if (x < 20 || y < 20 || row >= 7 || column >= columns * shown || column % columns == 5) return 0;
  int place = shown - 1 - column / columns;
  while (place-- > 0) number /= 10;
  return digits[number % 10][row] >> (4 - column % columns) & 1;
}

static void draw_row(JSAMPLE *row, int y, unsigned long number) {
  const int cx = 60 + (int)(number * 37 % (picture_width - 120)), cy = 200 + (int)(number * 23 % 80);
  int x;
  for (x = 0; x < picture_width; x++, row += 3) {
    const int dx = x - cx, dy = y - cy;
    row[0] = (JSAMPLE)(x * 255 / picture_width);
    row[1] = (JSAMPLE)(y * 255 / picture_height);
    row[2] = (JSAMPLE)(128 + number % 64);
    if (dx * dx + dy * dy < 40 * 40) row[0] = 250, row[1] = 210, row[2] = 40;
    if (in_number(number, x, y)) row[0] = row[1] = row[2] = 255;
  }
}

/* libjpeg's own handler would end the process. */
struct catcher {
  struct jpeg_error_mgr base;
  jmp_buf back;
};
static void on_error(j_common_ptr c) { longjmp(((struct catcher *)c->err)->back, 1); }

static int encode(FILE *out, unsigned long number) {
  struct jpeg_compress_struct c;
  struct catcher errors;
  static JSAMPLE row[picture_width * 3];
  JSAMPROW rows[1] = {row};
  c.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = on_error;
  if (setjmp(errors.back)) {
    jpeg_destroy_compress(&c);
    return EIO;
  }
  jpeg_create_compress(&c);
  jpeg_stdio_dest(&c, out);
  c.image_width = picture_width;
  c.image_height = picture_height;
  c.input_components = 3;
  c.in_color_space = JCS_RGB;
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, 85, TRUE);
  jpeg_start_compress(&c, TRUE);
  while (c.next_scanline < c.image_height) {
    draw_row(row, (int)c.next_scanline, number);
    jpeg_write_scanlines(&c, rows, 1);
  }
  jpeg_finish_compress(&c);
  jpeg_destroy_compress(&c);
  return 0;
}

int write_picture(const char *path, unsigned long number) {
  FILE *out = fopen(path, "wb");
  if (!out) return errno;
  int e = encode(out, number);
  if (fclose(out) != 0 && e == 0) e = errno;
  if (e != 0) unlink(path);
  return e;
}
