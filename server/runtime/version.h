/* version.h - of the program; the protocol's own is WIRE_VERSION. */
#ifndef VR_RUNTIME_VERSION_H
#define VR_RUNTIME_VERSION_H

#define VERSION_TEXT "0.1.0"

#endif
