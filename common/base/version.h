/* SPDX-License-Identifier: Apache-2.0 */
/* version.h - of the programs; the protocol's own is WIRE_VERSION. */
#ifndef VR_BASE_VERSION_H
#define VR_BASE_VERSION_H

#define VERSION_TEXT "0.1.0"

#endif
