"""What programs do with the image proxy of openstacksdk, as users of two projects."""

import hashlib
import io
import itertools
import sys

import openstack
from openstack import exceptions

AUTH_URL, PASSWORD = sys.argv[1:]
# More than the library reads at once, and no two pieces alike.
DATA = b"".join(number.to_bytes(4, "big") for number in range(400_000))


def connect(user):
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=AUTH_URL,
        username=user,
        password=PASSWORD,
        project_name=user,
        user_domain_name="Default",
        project_domain_name="Default",
    ).image


def refused(kind, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        return str(error)
    raise AssertionError(f"{call.__name__} {arguments} {options} went well")


def creates_and_finds(user):
    image = user.create_image(
        "cirros",
        data=DATA,
        disk_format="raw",
        container_format="bare",
        visibility="private",
        min_disk=1,
        tags=["old"],
        hw_disk_bus="ide",
        validate_checksum=True,
        md5=hashlib.md5(DATA).hexdigest(),
        sha256=hashlib.sha256(DATA).hexdigest(),
    )
    image = user.get_image(image.id)
    assert (image.status, image.size, image.min_disk) == ("active", len(DATA), 1), image
    assert image.checksum == hashlib.md5(DATA).hexdigest(), image
    assert (image.hash_algo, image.hash_value) == ("sha512", hashlib.sha512(DATA).hexdigest()), image
    assert image.hw_disk_bus == "ide", image
    assert image.properties["owner_specified.openstack.sha256"] == hashlib.sha256(DATA).hexdigest(), image
    assert user.find_image("cirros").id == user.find_image(image.id).id == image.id
    assert user.find_image("nothing") is None
    refused(exceptions.NotFoundException, user.get_image, "nothing")
    return image


def lists(user):
    for number in range(5):
        user.create_image(f"empty {number}", allow_duplicates=True, data=b"")
    names = [image.name for image in user.images(limit=2, sort="name:asc")]
    assert names == ["cirros", *(f"empty {number}" for number in range(5))], names
    assert [image.name for image in user.images(name="empty 3", status="queued")] == ["empty 3"]
    assert [image.name for image in user.images(size_min=1, disk_format="raw")] == ["cirros"]
    assert [image.name for image in user.images(tag="old")] == ["cirros"]
    assert [image.name for image in itertools.islice(user.images(sort="size:desc"), 1)] == ["cirros"]


def updates(user, image):
    image = user.update_image(image, name="cirros-0.6", hw_disk_bus="virtio", os_type="linux")
    user.add_tag(image, "new")
    user.remove_tag(image, "old")
    image = user.get_image(image.id)
    assert (image.name, image.tags) == ("cirros-0.6", ["new"]), image
    assert (image.hw_disk_bus, image.os_type) == ("virtio", "linux"), image
    user.update_image(image, is_protected=True)
    refused(exceptions.ForbiddenException, user.delete_image, image)
    refused(exceptions.ForbiddenException, user.update_image, image.id, visibility="public")
    user.update_image(image, is_protected=False)


def downloads(user, image):
    assert user.download_image(image).content == DATA
    stream = user.download_image(image, stream=True)
    assert b"".join(stream.iter_content(chunk_size=65_536)) == DATA
    output = io.BytesIO()
    user.download_image(image, stream=True, output=output)
    assert output.getvalue() == DATA


def takes_out_of_use(operator, user, image):
    operator.deactivate_image(image.id)
    assert user.get_image(image.id).status == "deactivated"
    assert user.download_image(image.id, stream=True).status_code == 403
    user.reactivate_image(image.id)
    assert user.get_image(image.id).status == "active"


def shares(user, other, image):
    refused(exceptions.NotFoundException, other.get_image, image.id)
    user.update_image(image.id, visibility="shared")
    assert user.add_member(image.id, member_id="alt_demo").status == "pending"
    assert other.get_image(image.id).name == "cirros-0.6"
    assert list(other.images()) == []
    other.update_member("alt_demo", image.id, status="accepted")
    assert [listed.id for listed in other.images()] == [image.id]
    members = [(member.member_id, member.status) for member in user.members(image.id)]
    assert members == [("alt_demo", "accepted")], members
    assert other.get_member("alt_demo", image.id).status == "accepted"
    assert other.download_image(image.id).content == DATA
    user.remove_member("alt_demo", image.id)
    refused(exceptions.NotFoundException, other.get_image, image.id)


operator, user, other = (connect(name) for name in ("admin", "demo", "alt_demo"))
image = creates_and_finds(user)
lists(user)
updates(user, image)
downloads(user, image)
takes_out_of_use(operator, user, image)
shares(user, other, image)
user.delete_image(image)
refused(exceptions.NotFoundException, user.delete_image, image.id, ignore_missing=False)
print("done")
