//! Images over gRPC.

use chassis::testing::TestDb;
use proto::glance::v1::{
    CreateImageMemberRequest, CreateImageRequest, DeleteImageMemberRequest, DeleteImageRequest,
    DownloadImageDataRequest, GetImageMemberRequest, GetImageRequest, GetImagesRequest, Image,
    ListImageMembersRequest, ListImageRevisionsRequest, ListImagesRequest, UpdateImageMemberRequest,
    UpdateImagePropertiesRequest, UpdateImageRequest, UploadImageDataRequest, image_member,
    image_service_client::ImageServiceClient,
};

use super::{Peaks, ask, at_once, channel, glance, image, methods, properties};

/// As many members as an image may have.
const MEMBERS: usize = 128;

pub(super) async fn the_largest_calls_about_images_fit_into_memory(db: TestDb) {
    let glance = glance(&db);
    let client = ImageServiceClient::new(channel(&glance).await);
    let mut peaks = Peaks(&glance, Vec::new());
    let made = ask!(peaks, client, create_image, "CreateImage", |number| {
        let image =
            Image { size: None, disk_format: "raw".into(), container_format: "bare".into(), ..image(number) };
        CreateImageRequest { image: Some(image) }
    });
    let ids: Vec<_> = made.into_iter().map(|answer| answer.into_inner().id).collect();
    let id = |number: usize| ids[number].clone();

    let upload = |number: usize| {
        let (mut client, image_id) = (client.clone(), id(number));
        let part = move |_| UploadImageDataRequest {
            image_id: image_id.clone(),
            size: Some(2 << 20),
            data: vec![7; 1 << 20].into(),
        };
        let parts = super::of_demo(tokio_stream::iter((0..2).map(part)));
        async move { client.upload_image_data(parts).await }
    };
    peaks.of("UploadImageData", upload).await;
    let download = |number: usize| {
        let request = DownloadImageDataRequest { id: id(number), offset: 0, length: 0 };
        let (mut client, request) = (client.clone(), super::of_demo(request));
        async move {
            let mut parts = client.download_image_data(request).await?.into_inner();
            while parts.message().await?.is_some() {}
            Ok::<_, tonic::Status>(())
        }
    };
    peaks.of("DownloadImageData", download).await;

    ask!(peaks, client, get_image, "GetImage", |number| GetImageRequest { id: id(number), revision: 0 });
    ask!(peaks, client, get_images, "GetImages", |_number| GetImagesRequest { ids: ids.clone() });
    ask!(peaks, client, update_image_properties, "UpdateImageProperties", |number| {
        let set = properties("y", number + 100);
        UpdateImagePropertiesRequest { image_id: id(number), set, ..Default::default() }
    });
    ask!(peaks, client, update_image_properties, "UpdateImageProperties, by a little", |number| {
        let set = [(format!("{:0>255}", 0), "z".to_owned())].into();
        UpdateImagePropertiesRequest { image_id: id(number), set, ..Default::default() }
    });
    ask!(peaks, client, update_image, "UpdateImage", |number| {
        let image = Image { id: id(number), name: "\u{1F600}".repeat(254), ..Image::default() };
        UpdateImageRequest { image: Some(image), update_mask: None }
    });
    ask!(peaks, client, list_images, "ListImages", |_number| ListImagesRequest {
        page_size: 1000,
        ..ListImagesRequest::default()
    });
    for revision in [1, 4] {
        let name = format!("GetImage, at revision {revision}");
        let read = |number: usize| {
            let request = super::of_demo(GetImageRequest { id: id(number), revision });
            let mut client = client.clone();
            async move { client.get_image(request).await }
        };
        peaks.of(&name, read).await;
    }
    ask!(peaks, client, list_image_revisions, "ListImageRevisions", |number| ListImageRevisionsRequest {
        image_id: id(number),
        page_size: 1000,
        ..ListImageRevisionsRequest::default()
    });

    let member_id = |number: usize| format!("{number:03}{}", "\u{1F600}".repeat(252));
    for number in 1..MEMBERS {
        let request = CreateImageMemberRequest { image_id: id(0), member_id: member_id(number) };
        client.clone().create_image_member(super::of_demo(request)).await.unwrap();
    }
    ask!(peaks, client, create_image_member, "CreateImageMember", |number| CreateImageMemberRequest {
        image_id: id(number),
        member_id: member_id(0),
    });
    ask!(peaks, client, get_image_member, "GetImageMember", |number| GetImageMemberRequest {
        image_id: id(number),
        member_id: member_id(0),
    });
    ask!(peaks, client, list_image_members, "ListImageMembers", |_number| ListImageMembersRequest {
        image_id: id(0),
    });
    ask!(peaks, client, update_image_member, "UpdateImageMember", |number| UpdateImageMemberRequest {
        image_id: id(number),
        member_id: member_id(0),
        status: image_member::Status::Accepted.into(),
    });
    ask!(peaks, client, delete_image_member, "DeleteImageMember", |number| DeleteImageMemberRequest {
        image_id: id(number),
        member_id: member_id(0),
    });
    ask!(peaks, client, delete_image, "DeleteImage", |number| DeleteImageRequest {
        id: id(number),
        etag: String::new(),
    });
    assert_eq!(ids.len(), at_once());
    peaks.check(&methods(proto::glance::DESCRIPTORS));
}
