/* The test picture of the camera: a gradient, a moving disc, and the number of the frame. */
#ifndef PICTURE_H
#define PICTURE_H

#ifdef __cplusplus
extern "C" {
#endif

enum { picture_width = 640, picture_height = 360 };

/* Draws frame `number` and writes it as a baseline JPEG (quality 85). 0, or an errno value; then no file is left. */
int write_picture(const char *path, unsigned long number);

#ifdef __cplusplus
}
#endif

#endif
