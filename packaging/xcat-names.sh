# Registers or removes the names of xCAT's commands. update-alternatives never replaces a file that is not a link of
# its own.
add_xcat_names() {
  update-alternatives --install /usr/bin/imgexport imgexport /usr/lib/imgstore/xcat-names/imgexport 50
  update-alternatives --install /usr/bin/imgimport imgimport /usr/lib/imgstore/xcat-names/imgimport 50
  update-alternatives --install /usr/bin/packimage packimage /usr/lib/imgstore/xcat-names/packimage 50
  update-alternatives --install /usr/bin/liteimg liteimg /usr/lib/imgstore/xcat-names/liteimg 50
}
remove_xcat_names() {
  update-alternatives --remove imgexport /usr/lib/imgstore/xcat-names/imgexport
  update-alternatives --remove imgimport /usr/lib/imgstore/xcat-names/imgimport
  update-alternatives --remove packimage /usr/lib/imgstore/xcat-names/packimage
  update-alternatives --remove liteimg /usr/lib/imgstore/xcat-names/liteimg
}
