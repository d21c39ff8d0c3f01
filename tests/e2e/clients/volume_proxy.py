"""What openstacksdk does with volumes, as Ansible's modules and others use it."""

import sys

import openstack

endpoint = sys.argv[1] + "/v3"
cloud = openstack.connection.Connection(
    auth_type="admin_token",
    auth={"endpoint": endpoint, "token": "alice:demo:member"},
    block_storage_endpoint_override=endpoint,
    region_name="one",
)
volumes = cloud.block_storage

volume = volumes.create_volume(name="v1", size=1, metadata={"a": "b"})
volume = volumes.wait_for_status(volume, status="available", failures=["error"], interval=1, wait=10)
assert (volume.name, volume.size, volume.is_bootable) == ("v1", 1, False), volume

volumes.set_volume_image_metadata(volume, os_distro="debian", hw_disk_bus="scsi")
volumes.delete_volume_image_metadata(volume, keys=["hw_disk_bus"])
shown = volumes.get_volume(volume.id)
assert shown.volume_image_metadata == {"os_distro": "debian"}, shown

volumes.set_volume_metadata(volume, c="d")
volumes.delete_volume_metadata(volumes.get_volume(volume.id), keys=["a"])
assert volumes.get_volume_metadata(volume).metadata == {"c": "d"}

volumes.extend_volume(volume, 3)
volumes.set_volume_bootable_status(volume, True)
volumes.set_volume_readonly(volume, True)
shown = volumes.get_volume(volume.id)
assert (shown.size, shown.is_bootable) == (3, True), shown

snapshot = volumes.create_snapshot(volume_id=volume.id, name="s1")
assert volumes.find_snapshot("s1").id == snapshot.id
copy = volumes.get_volume(volumes.create_volume(name="v2", snapshot_id=snapshot.id))
assert copy.volume_image_metadata == {"os_distro": "debian"}, copy

assert {found.name for found in volumes.volumes()} == {"v1", "v2"}
assert [found.name for found in volumes.volumes(limit=1, details=False)] == ["v2", "v1"]
assert volumes.find_volume("v1").id == volume.id
assert volumes.find_volume("v3") is None

attachment = volumes.create_attachment(volume=copy.id, instance=volume.id, connector=None, mode="rw")
assert volumes.get_volume(copy.id).status == "reserved"
assert [found.id for found in volumes.attachments()] == [attachment.id]
volumes.delete_attachment(attachment)

assert volumes.get_limits().absolute.total_volumes_used == 2
assert [zone.name for zone in volumes.availability_zones()] == ["nova"]

volumes.delete_volume(copy, ignore_missing=False)
volumes.delete_snapshot(snapshot, ignore_missing=False)
volumes.delete_volume(volume, ignore_missing=False)
assert list(volumes.volumes()) == []
print("done")
