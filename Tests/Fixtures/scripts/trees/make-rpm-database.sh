#!/bin/bash
# Builds three packages and lets rpm record them in a database, without their files.
# Arguments: FOLDER. Writes FOLDER/root, and the output of `rpm -qa` to FOLDER/expected.
set -eu
cd "$1"
cat >all.spec <<'S'
Name: alpha
Version: 1.0
Release: 1.el9
Summary: a package
License: none
BuildArch: noarch
%description
A package.
%package -n beta
Summary: with an epoch
Version: 2.5~rc1
Release: 3
Epoch: 2
%description -n beta
A package.
%package -n gamma
Summary: with many files
Epoch: 0
%description -n gamma
A package.
%install
mkdir -p %{buildroot}/etc/alpha %{buildroot}/usr/share/gamma %{buildroot}/usr/share/beta
echo conf >%{buildroot}/etc/alpha/alpha.conf
echo data >%{buildroot}/usr/share/beta/data
for i in $(seq 1500); do echo $i >%{buildroot}/usr/share/gamma/file-with-a-long-name-$i; done
%files
%config(noreplace) /etc/alpha/alpha.conf
%files -n beta
/usr/share/beta
%files -n gamma
/usr/share/gamma
S
rpmbuild -bb --quiet --define "_topdir $1/top" --define '_build_id_links none' all.spec >log 2>&1 || { cat log >&2; exit 1; }
mkdir root
rpm --root "$1/root" --dbpath /var/lib/rpm -i --justdb --nodeps top/RPMS/noarch/*.rpm 2>/dev/null
rpm --root "$1/root" --dbpath /var/lib/rpm -qa --qf '%{NAME}\t%{EVR}\n' 2>/dev/null >expected
