# Cross-builds for 64-bit ARM on Debian: its cross compiler, the libraries' :arm64 packages (tools/install_packages arm64).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

# Multiarch puts both machines' libraries below /usr, so there is no other root to search. CMake takes the right folder from
# the compiler; pkg-config, which is the build machine's own, must be told.
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)

# Tests run under it. The dynamic loader and the libraries are found where the packages put them.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
