# The installed package: find_package(swarmsync) gives swarmsync::swarmsync.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/swarmsync)
install(TARGETS swarmsync EXPORT swarmsync-targets)
if(TARGET swarmsync_mpi)
  install(TARGETS swarmsync_mpi EXPORT swarmsync-mpi-targets)
  install(EXPORT swarmsync-mpi-targets NAMESPACE swarmsync:: DESTINATION ${package_dir})
endif()
install(TARGETS swarmsync-cli)
install(DIRECTORY ${PROJECT_BINARY_DIR}/share/ DESTINATION ${CMAKE_INSTALL_DATADIR} PATTERN stamp EXCLUDE)
install(DIRECTORY include/swarmsync DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT swarmsync-targets NAMESPACE swarmsync:: DESTINATION ${package_dir})
configure_package_config_file(cmake/swarmsync-config.cmake.in swarmsync-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/swarmsync-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/swarmsync-config.cmake ${PROJECT_BINARY_DIR}/swarmsync-config-version.cmake
  DESTINATION ${package_dir})
