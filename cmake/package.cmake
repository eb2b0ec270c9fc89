# scripts/package makes a Debian package of what is installed: cpack -G DEB.
set(CPACK_PACKAGE_NAME swarmsync)
set(CPACK_PACKAGE_VENDOR SwarmSync)
set(CPACK_PACKAGE_CONTACT "The SwarmSync developers <swarmsync@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Without it Debian's libtorch multiplies matrices 25 times slower.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libopenblas0-pthread")
# For programs that use the library, for the Python package, and for MNIST where its mirrors cannot be reached.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, libtorch-dev, python3-torch")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "npm")
include(CPack)
