/* NVIDIA's driver as far as this library asks it, with the faults that the macros name. */
#include <stddef.h>
#include <string.h>

#ifndef VERSION
#define VERSION 13000
#endif
#ifndef COUNT
#define COUNT 2
#endif
#ifndef INIT
#define INIT 0
#endif
#ifndef FAIL
#define FAIL 0
#endif
#ifndef MAJOR
#define MAJOR 9
#endif
#ifndef MINOR
#define MINOR 0
#endif

#ifndef NO_INIT
int cuInit(unsigned flags) { (void)flags; return INIT; }
#endif
int cuDriverGetVersion(int *out) { *out = VERSION; return 0; }
int cuDeviceGetCount(int *out) { *out = COUNT; return 0; }
int cuDeviceGet(int *out, int place) { *out = 40 + place; return 0; }
int cuDeviceGetName(char *out, int length, int device) {
  memset(out, 'x', (size_t)length);
  if (device == 40) strncpy(out, "Fake H100", (size_t)length);
  return FAIL;
}
#ifndef NO_MEMORY
int cuDeviceTotalMem_v2(size_t *out, int device) { *out = (size_t)80 << 30; return device < 40; }
#endif
int cuDeviceGetAttribute(int *out, int attribute, int device) {
  (void)device;
  *out = attribute == 75 ? MAJOR : attribute == 76 ? MINOR : -1;
  return 0;
}
#ifndef NO_UUID
int cuDeviceGetUuid(unsigned char *out, int device) {
  for (int i = 0; i < 16; i++) out[i] = (unsigned char)(device + i);
  return 0;
}
#endif
int cuDeviceGetPCIBusId(char *out, int length, int device) {
  strncpy(out, "0000:65:00.0", (size_t)length);
  return device == 41;
}
